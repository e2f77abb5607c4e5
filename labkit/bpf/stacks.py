# SPDX-License-Identifier: Apache-2.0
"""Where does a process spend its time? Ask at each tick of a timer for its stack, and count the equal ones.

    with Workload("probes", ["--work", "burn"]) as run, StackSampler(run.pid) as sampler:
        run.go()
        sampler.stop()
    sampler.frame()            # stack ("main;apple"), count

Rests on a perf event of the kind "CPU clock" for that process, on the helper bpf_get_stackid (bpf-helpers(7)), and on
frame pointers: code that was compiled without them gives broken stacks. The lab compiles its workloads with them.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf.bcc import kernel_symbol, symbols
from labkit.bpf.program import Program
from labkit.errors import check_int
from labkit.machine import proc

__all__ = [
    "DELETED_MARK",
    "KERNEL_MARK",
    "PYTHON_MARK",
    "UNKNOWN",
    "UNREAD_MARK",
    "StackSampler",
    "Symbols",
    "addresses",
]

KERNEL_MARK = "_[k]"  # after the name of a kernel function, as in Brendan Gregg's folded stacks
PYTHON_MARK = "py::"  # before the name of a Python function, as CPython writes it (python -X perf)
UNKNOWN = "[unknown]"
DELETED_MARK = " (deleted)"  # by the kernel, after the name of such a file
UNREAD_MARK = " (not readable)"  # after the name of a file that its path does not lead to
_SOFTWARE, _CPU_CLOCK = 1, 0  # PERF_TYPE_SOFTWARE and PERF_COUNT_SW_CPU_CLOCK of linux/perf_event.h


class StackSampler:
    """Samples the stacks of one process while its block runs.

    Parameters
    ----------
    pid : the process, as this one sees it. Its first thread is sampled, while it is on a CPU.
    hz : ticks per second of its CPU time, 1 to 9999. Prime numbers such as 997 avoid the process's own rhythm.

    After `stop()`: `frame()` has a row for each distinct stack, `lost` says how many samples could not be kept.
    """

    def __init__(self, pid: int, hz: int = 997) -> None:
        self.pid, self.hz = pid, check_int("hz", hz, 1, 9999, "Hz")
        self.lost = 0
        self._program = Program("probes_stacks")
        self._counts: dict[str, int] = {}

    def __enter__(self) -> StackSampler:
        self._program.__enter__()
        try:
            self._symbols = Symbols(self.pid)
            self._program.aim(pid=self.pid)
            self._program.attach_perf_event(
                "on_tick", ev_type=_SOFTWARE, ev_config=_CPU_CLOCK, sample_freq=self.hz, pid=self.pid
            )
        except BaseException:
            self._program.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._program.__exit__()

    def stop(self) -> None:
        """Stop sampling and give each address its name. The process may be gone already."""
        self._program.detach()
        self.lost = self._program.lost_events
        stacks = self._program.table("stacks")
        for key, count in self._program.table("samples").items():
            if -errno.EEXIST in (key.user, key.kernel):  # another stack had its place: nobody knows this one
                self.lost += int(count.value)
                continue
            frames = [self._symbols.user(address) for address in addresses(stacks, key.user)][::-1]
            frames += [self._symbols.kernel(address) for address in addresses(stacks, key.kernel)][::-1]
            folded = ";".join(frames or [UNKNOWN])
            self._counts[folded] = self._counts.get(folded, 0) + int(count.value)
        self._symbols.close()

    def frame(self) -> pd.DataFrame:
        """Return a row for each distinct stack, the most frequent first: stack, count."""
        rows = sorted(self._counts.items(), key=lambda row: (-row[1], row[0]))
        return schema.frame(
            {"stack": [row[0] for row in rows], "count": [row[1] for row in rows]}, lost_events=self.lost
        )


_CODE_LINE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S*x\S* \S+ \S+ \d+ *(.*)$", re.MULTILINE)  # of /proc/PID/maps
_PERF_MAP_LINE = re.compile(r"([0-9a-f]{1,16}) ([0-9a-f]{1,16}) (.*)", re.DOTALL)


def addresses(stacks: Any, number: int) -> list[int]:
    """Return the addresses of a stack, innermost first; none where the kernel gave an error instead of a number."""
    return list(stacks.walk(number)) if number >= 0 else []


class Symbols:
    """Names of addresses in one process, which may end before they are asked for."""

    def __init__(self, pid: int) -> None:
        self._pid, self._held = pid, contextlib.ExitStack()
        self._cache = self._held.enter_context(symbols(pid))
        self._unread: list[range] = []  # code of which BCC would read another file's symbols, or none
        # BCC reads a file's symbols when it is first asked about it; ask while the process lives
        for start, end, path in _CODE_LINE.findall(proc.text(Path(f"/proc/{pid}/maps"))):
            code = range(int(start, 16), int(end, 16))
            self._cache.resolve(code.start, True)
            if path.startswith("/") and not _is_at(path, pid, code):
                self._unread.append(code)
        self._python: tuple[list[int], list[tuple[int, str]]] | None = None

    def close(self) -> None:
        """Give BCC's symbol tables back."""
        self._held.close()

    def user(self, address: int) -> str:
        """Return the name of a function of the process, or in brackets the file that it is in."""
        name, _, module = self._cache.resolve(address, True)
        is_read = not any(address in code for code in self._unread)
        if name is not None and not name.startswith(b"[") and is_read:
            return str(name.decode(errors="replace")).replace(";", ",")
        if made := self._perf_map(address):
            return made
        file = (
            proc.shown(Path(os.fsdecode(module)).name.strip("[]")) if module else ""
        )  # "[vdso]" has its brackets already
        if not file or file.startswith("perf-"):
            return UNKNOWN
        return f"[{file}]" if is_read or file.endswith(DELETED_MARK) else f"[{file}{UNREAD_MARK}]"

    def kernel(self, address: int) -> str:
        """Return the name of a function of the kernel, with its mark."""
        return f"{kernel_symbol(address)}{KERNEL_MARK}"

    def _perf_map(self, address: int) -> str:
        """Return a name that the process itself wrote down for code that it made (`python -X perf`)."""
        if self._python is None:
            self._python = _read_perf_map(_perf_map_of(self._pid))
        starts, rest = self._python
        place = bisect.bisect_right(starts, address) - 1
        if place < 0 or address >= starts[place] + rest[place][0]:
            return ""
        return _short(rest[place][1])


def _is_at(path: str, pid: int, code: range) -> bool:
    """Return whether the path in a line of /proc/PID/maps leads to the file that is mapped: BCC reads the path.

    The kernel escapes a newline in it and marks a deleted file; another file may have that very name. Another mount
    may cover the file. On overlayfs the mapped file may be that of a layer, on another device: then size and time of
    change are compared.
    """
    try:
        named = os.stat(f"/proc/{pid}/root{path}")
    except OSError:
        return False
    try:
        mapped = os.stat(f"/proc/{pid}/map_files/{code.start:x}-{code.stop:x}")
    except OSError:  # it has ended meanwhile, or this process may not look (proc_pid_map_files(5))
        return True
    if named.st_dev == mapped.st_dev:
        return named.st_ino == mapped.st_ino
    return (named.st_size, named.st_ctime_ns) == (mapped.st_size, mapped.st_ctime_ns)


def _perf_map_of(pid: int) -> Path:
    """Return where a process writes its names: in its own /tmp, under the number that it has in its own namespace."""
    try:
        status = proc.text(Path(f"/proc/{pid}/status"))
        own = re.findall(r"^NSpid:.*?(\d+)$", status, re.MULTILINE)
        if own and own[0] != str(pid):
            return Path(f"/proc/{pid}", "root", "tmp", f"perf-{own[0]}.map")
    except OSError:
        pass  # ended: its file may be left
    return Path(f"/tmp/perf-{pid}.map")


def _read_perf_map(path: Path) -> tuple[list[int], list[tuple[int, str]]]:
    """Return the starts, sorted, and the (length, name) of each; the format is linux/tools/perf's jit-interface.txt."""
    rows = []
    if path.exists():
        for line in path.read_text(errors="replace").split("\n"):
            if row := _PERF_MAP_LINE.fullmatch(line):  # anybody may have written the file
                rows.append((int(row[1], 16), int(row[2], 16), row[3]))
    rows.sort()
    return [row[0] for row in rows], [row[1:] for row in rows]


def _short(name: str) -> str:
    """Return "py::work:/long/path/file.py" without the folders."""
    head, _, path = name.rpartition(":")
    return f"{head}:{Path(path).name}" if "/" in path else name
