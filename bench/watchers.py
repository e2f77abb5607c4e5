# SPDX-License-Identifier: Apache-2.0
"""What else times the system calls of a process: bpftrace's usual one-liner, and a stock BCC tool.

Both run on their own CPU, away from the program that they watch, and are ended when the block is left.
"""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.errors import LabkitError
from labkit.machine.ending import ended
from labkit.machine.pidns import own_pid_namespace

__all__ = ["BPFTRACE", "TRACE", "bpftrace", "stock_tool"]

BPFTRACE = "bpftrace"
TRACE = "trace-bpfcc"  # Debian's name of BCC's tools/trace.py
_PATIENCE_S = 30.0
_BUFFER_PAGES = 8192  # of each CPU: a whole slice has room, so no event is cheap because it was thrown away

# BEGIN comes before the other probes are attached, so the last line is looked for in the list of open files instead
_SCRIPT = """
tracepoint:syscalls:sys_enter_CALL /WHO/ { @start[tid] = nsecs; }
tracepoint:syscalls:sys_exit_CALL /@start[tid]/ { @ns = hist(nsecs - @start[tid]); delete(@start[tid]); }
"""


@contextmanager
def bpftrace(pid: int, call: str) -> Iterator[None]:
    """Let bpftrace keep a histogram of a call's durations."""
    # it counts in the machine's own process numbers; inside a container the name has to do
    who = f"pid == {pid}" if own_pid_namespace().is_initial else 'comm == "io_engines"'
    script = _SCRIPT.replace("CALL", call).replace("WHO", who)
    with _watching([BPFTRACE, "-e", script], lambda names: names.count("anon_inode:[perf_event]") >= 2):
        yield


@contextmanager
def stock_tool(pid: int, call: str) -> Iterator[None]:
    """Let BCC's trace send a record of the end of each call by perf buffer."""
    who = ["-p", str(pid)] if own_pid_namespace().is_initial else ["-n", "io_engines"]
    line = [TRACE, "-b", str(_BUFFER_PAGES), *who, f't:syscalls:sys_exit_{call} "%d", args->ret']
    buffers = os.cpu_count() or 1  # a perf buffer for each, and the tracepoint
    with _watching(line, lambda names: names.count("anon_inode:[perf_event]") > buffers):
        yield


@contextmanager
def _watching(line: list[str], ready: Callable[[list[str]], bool]) -> Iterator[None]:
    """Start a watcher and wait until its open files tell that it is attached."""
    program = shutil.which(line[0])
    if program is None:
        raise LabkitError(f"{line[0]} is not installed.", "run `make setup`")
    cpus = sorted(os.sched_getaffinity(0))
    others = cpus[:-1] or cpus
    watcher = subprocess.Popen(
        ["taskset", "-c", ",".join(map(str, others)), program, *line[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
    )
    with ended(watcher):  # what it has counted is not asked for; a tool in Python would print for seconds
        started = time.monotonic()
        while not ready(_open_files(watcher.pid)):
            if watcher.poll() is not None or time.monotonic() - started > _PATIENCE_S:
                raise LabkitError(f"{line[0]} could not watch.", "run it by hand, as the detail says", _said(watcher))
            time.sleep(0.01)
        yield


def _open_files(pid: int) -> list[str]:
    try:
        return [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:  # it has ended, or closed one meanwhile
        return []


def _said(watcher: subprocess.Popen[bytes]) -> str:
    assert watcher.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(watcher.stderr, selectors.EVENT_READ)
        return os.read(watcher.stderr.fileno(), 1 << 16).decode(errors="replace") if selector.select(0) else ""
