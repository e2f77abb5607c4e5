# SPDX-License-Identifier: Apache-2.0
"""End a process and wait for it, but not forever: in state D it ends only when the kernel lets it.

A read of a file system that never answers (NFS, FUSE), or of a broken disk, is such a place. SIGKILL waits until the
read has ended. `subprocess` waits without a limit at the end of `with Popen(...)`, and after the timeout of `run()`.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import AnyStr

from labkit.errors import LabkitError
from labkit.machine import proc

__all__ = ["END_S", "deadline", "ended", "hanging", "run", "wait_killed"]

END_S = 5.0


@contextlib.contextmanager
def ended(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """Kill a child at the end of the block, if it still runs, close its pipes, and wait for it.

    Raises
    ------
    LabkitError : as of `wait_killed`.
    """
    try:
        yield process
    finally:
        process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # EPIPE: what was written last has no reader any more
                    stream.close()
        wait_killed(process)


def run(
    command: Sequence[str | Path],
    timeout_s: float,
    *,
    text_in: str = "",
    environment: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and return what it wrote.

    Raises
    ------
    OSError : it could not be started.
    subprocess.TimeoutExpired : it took longer, and has been killed.
    LabkitError : as of `wait_killed`.
    """
    pipe = subprocess.PIPE
    started = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace", env=environment, cwd=folder
    )
    with ended(started) as process:
        out, errors = process.communicate(text_in, timeout=timeout_s)
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


def wait_killed(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Wait for a child that was sent SIGKILL.

    Raises
    ------
    LabkitError : it has not ended; the error says which process, in which state, and where in the kernel.
    """
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        raise hanging(process.pid) from None


def deadline() -> float:
    """Return until when (time.monotonic) to wait for processes that were killed just now."""
    return time.monotonic() + END_S


def hanging(pid: int) -> LabkitError:
    """Return the error for a process that was killed and is still there."""
    folder = Path("/proc", str(pid))
    try:
        state = proc.stat_fields(folder)[0]
    except (OSError, IndexError):
        state = "?"
    place = proc.text_or_empty(folder / "wchan").strip("0")
    name = proc.shown(proc.text_or_empty(folder / "comm"))
    where = f", in the kernel's {place}" if place else ""
    return LabkitError(
        f"Process {pid} ({name}) was killed and has not ended: it is in state {state}{where}.",
        f"find out what it waits for: sudo cat /proc/{pid}/stack; it ends when that disk or file system answers",
    )
