# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: where a program runs, where it waits, where it touches new memory (c/bpf/your_program_stacks.c)."""

from __future__ import annotations

import contextlib
import errno
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from labkit.bpf.program import Program
from labkit.bpf.stacks import DELETED_MARK, KERNEL_MARK, PYTHON_MARK, UNKNOWN, UNREAD_MARK, Symbols, addresses
from labkit.lessons.your_program.look import Look, sorted_frame
from labkit.lessons.your_program.pythons import VERSIONS, Pythons
from labkit.lessons.your_program.target import Running
from labkit.machine import proc

__all__ = ["HZ", "Stacks"]

HZ = 499  # ticks per second and CPU
_SOFTWARE, _CPU_CLOCK, _MINOR_FAULTS, _MAJOR_FAULTS = 1, 0, 5, 6  # linux/perf_event.h
_TICK, _MINOR, _MAJOR, _OFF = range(4)  # kinds in the C file
_SHARE = 0.1
_LOOP = "_PyEval_EvalFrameDefault"  # of CPython
_STRIPPED = (
    "a file whose symbols were removed (stripped), so its functions have no names. Install its debug symbols, or "
    "compile it again without -s."
)
_DELETED = "a file that was deleted, or replaced, after it was started. Its symbols cannot be read: start it again."
_UNREAD = (
    "a file that its path does not lead to (a newline in it, another mount, a chroot). Its symbols cannot be read."
)
_MARKS = {DELETED_MARK: _DELETED, UNREAD_MARK: _UNREAD}
_KINDS = {"on_cpu": {_TICK}, "off_cpu": {_OFF}, "faults": {_MINOR, _MAJOR}}
_FAULTS = {_MINOR: "minor", _MAJOR: "major"}


class Stacks(Look):
    """Counts stacks; gives "on_cpu", "off_cpu" and "faults", those of them that are wanted."""

    def __init__(self, wanted: set[str]) -> None:
        self.views = tuple(sorted(wanted))
        super().__init__(Program("your_program_stacks", flags={"OFF_CPU": 1} if "off_cpu" in wanted else {}))

    def opened(self) -> None:
        """Begin with no names."""
        self._symbols: dict[int, tuple[str, Symbols]] = {}
        self._pythons = Pythons(self.program)
        self._held.callback(self._forget)

    def attach(self) -> None:
        """Attach it by its names, and to what is counted: on every CPU, since threads come and go."""
        self.program.attach()
        if "on_cpu" in self.views:
            self.program.attach_perf_event("on_tick", ev_type=_SOFTWARE, ev_config=_CPU_CLOCK, sample_freq=HZ)
        if "faults" in self.views:
            for function, kind in (("on_minor", _MINOR_FAULTS), ("on_major", _MAJOR_FAULTS)):
                self.program.attach_perf_event(function, ev_type=_SOFTWARE, ev_config=kind, sample_period=1)

    def prepare(self, running: Running) -> None:
        """Find the interpreters that run already."""
        for pid in running.pids if running.target.pid is not None else ():
            with contextlib.suppress(OSError):
                self._pythons.look_for(pid, proc.text(Path(f"/proc/{pid}/maps")))

    def before_the_end(self) -> None:
        """Read the symbols of each process that was seen, again after an exec or a dlopen."""
        for pid in {key[1] for key in self.program.hash("sums")}:
            with contextlib.suppress(OSError):
                text = proc.text(Path(f"/proc/{pid}/maps"))
                parts = "\n".join(re.findall(r"^\S+ \S*x.*$", text, re.MULTILINE))
                known = self._symbols.get(pid)
                if parts and (known is None or known[0] != parts):
                    self._pythons.look_for(pid, text)
                    fresh = Symbols(pid)
                    self._symbols[pid] = parts, fresh
                    if known is not None:
                        known[1].close()

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return the frames that are wanted; a stack whose place another one had is counted as lost."""
        found: dict[tuple[int, str], list[int]] = {}
        stacks = self.program.table("stacks")
        self._pythons.read()
        for (python, pid, user, kernel, kind), one in self.program.hash("sums").items():
            if -errno.EEXIST in (user, kernel):
                self.lost += one["count"]
                continue
            sums = found.setdefault((kind, self._folded(stacks, pid, python, user, kernel)), [0, 0])
            sums[0] += one["count"]
            sums[1] += one["total_ns"]
        for view in self.views:
            counts = Counter[str]()
            for (kind, stack), (count, _) in found.items():
                if kind in _KINDS[view]:
                    counts[stack] += count
            self._warn(view, counts)
        for version in self._pythons.unknown:
            self.warnings.append(
                f"The functions of Python {version} are not named: the lab knows the frames of {VERSIONS}."
            )
        frames = {}
        if "on_cpu" in self.views:
            rows: list[dict[str, Any]] = [{"stack": s, "count": n} for (k, s), (n, _) in found.items() if k == _TICK]
            frames["on_cpu"] = sorted_frame(rows, ["stack", "count"], "count")
        if "off_cpu" in self.views:
            rows = [{"stack": s, "count": n, "total_ns": ns} for (k, s), (n, ns) in found.items() if k == _OFF]
            frames["off_cpu"] = sorted_frame(rows, ["stack", "count", "total_ns"], "total_ns")
        if "faults" in self.views:
            rows = [{"fault": _FAULTS[k], "stack": s, "count": n} for (k, s), (n, _) in found.items() if k in _FAULTS]
            frames["faults"] = sorted_frame(rows, ["fault", "stack", "count"], "count")
        return frames

    def _warn(self, view: str, counts: Counter[str]) -> None:
        """Say in words what names are missing in a view, and why, where that is more than a tenth."""
        total, files, broken = counts.total(), Counter[str](), 0
        for stack, count in counts.items():
            own = [name for name in stack.split(";") if not name.endswith(KERNEL_MARK)]
            if own and own[-1] == UNKNOWN:
                broken += count
            elif own and own[-1].startswith("[") and PYTHON_MARK not in stack:
                files[own[-1]] += count
        for file, count in files.most_common(1):
            if count > _SHARE * total:
                why = next((said for mark, said in _MARKS.items() if file.endswith(f"{mark}]")), _STRIPPED)
                self.warnings.append(f"{view}: {count} of {total} stacks end in {file}: {why}")
        if broken > _SHARE * total:
            self.warnings.append(
                f"{view}: {broken} of {total} stacks end in {UNKNOWN}: a process ended before its symbols were "
                "read, or its stack could not be followed."
            )

    def _folded(self, stacks: Any, pid: int, python: int, user: int, kernel: int) -> str:
        known = self._symbols.get(pid)
        names = [known[1].user(at) if known else UNKNOWN for at in addresses(stacks, user)][::-1]
        if functions := self._pythons.names(pid, python):
            names = functions + _below_python(names)
        if kernel >= 0:
            one = known[1] if known else next((each for _, each in self._symbols.values()), None)
            names += [one.kernel(at) if one else UNKNOWN for at in addresses(stacks, kernel)][::-1]
        shortened = [name for at, name in enumerate(names) if name != UNKNOWN or at == 0 or names[at - 1] != UNKNOWN]
        return ";".join(shortened or [UNKNOWN])

    def _forget(self) -> None:
        for _, each in self._symbols.values():
            each.close()
        self._symbols.clear()


def _below_python(names: list[str]) -> list[str]:
    """Return what a function of Python called: the frames below the interpreter's loop, or below a break."""
    places = [at for at, name in enumerate(names) if name == UNKNOWN or name.startswith(_LOOP)]
    return names[places[-1] + 1 :] if places else names[-1:]
