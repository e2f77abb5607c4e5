# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: what a program waits for, and for which locks (c/bpf/your_program_waits.c)."""

from __future__ import annotations

import contextlib
import ctypes as ct
import time
from pathlib import Path

import pandas as pd

from labkit.bpf.program import Program
from labkit.bpf.syscalls import call_names
from labkit.lessons.your_program.look import Look, sorted_frame
from labkit.lessons.your_program.target import Running
from labkit.machine.pidns import own_pid_namespace
from labkit.machine.proc import stat_fields

__all__ = ["NO_CALL", "RUN_QUEUE", "STILL", "Waits"]

RUN_QUEUE = "for a CPU (run queue)"
NO_CALL = "asleep outside of a system call"
STILL = " (still waiting at the end)"
_ASLEEP = 1


class Waits(Look):
    """Sums the time off the CPU; gives "waits" and "locks"."""

    views = ("waits", "locks")

    def __init__(self) -> None:
        futex = {name: number for number, name in call_names().items()}["futex"]
        super().__init__(Program("your_program_waits", flags={"FUTEX": futex}))

    def prepare(self, running: Running) -> None:
        """Note what the numbers of the calls mean."""
        self._names = call_names(running.bits)

    def begin(self, running: Running, more: list[int]) -> None:
        """Note the threads that sleep already: nothing will be seen of them before they wake."""
        if running.target.pid is not None and own_pid_namespace().is_initial:
            self._note_sleepers(running.pids)
        super().begin(running, more)

    def _note_sleepers(self, pids: list[int]) -> None:
        table = self.program.table("off_cpu")
        for task in (task for pid in pids for task in Path(f"/proc/{pid}/task").glob("*")):
            with contextlib.suppress(OSError, ValueError, IndexError):
                state = stat_fields(task)[0]
                number = int((task / "syscall").read_text().split()[0])
                if state in "SD":
                    table[ct.c_uint32(int(task.name))] = table.Leaf(time.monotonic_ns(), 0, number)

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return both frames."""
        names, rows = self._names, []
        for (number, kind, _), found in self.program.hash("waits").items():
            where = f"in {names.get(number, number)}()" if number >= 0 else NO_CALL
            rows.append({"wait": where if kind == _ASLEEP else RUN_QUEUE, **found})
        still: dict[str, dict[str, int]] = {}
        for left in self.program.hash("off_cpu").values():
            if not left["woken_ns"]:
                number = left["number"]
                where = (f"in {names.get(number, number)}()" if number >= 0 else NO_CALL) + STILL
                one = still.setdefault(where, {"count": 0, "total_ns": 0})
                one["count"] += 1
                one["total_ns"] += max(self.stopped_ns - left["at_ns"], 0)
        rows += [{"wait": where, **found} for where, found in still.items()]
        locks = [
            {"lock": hex(address), "pid": pid, **found}
            for (address, pid, _), found in self.program.hash("locks").items()
        ]
        for row in [*rows, *locks]:
            row["mean_ns"] = row["total_ns"] / row["count"]
        return {
            "waits": sorted_frame(rows, ["wait", "count", "total_ns", "mean_ns"], "total_ns"),
            "locks": sorted_frame(locks, ["lock", "pid", "count", "total_ns", "mean_ns"], "total_ns"),
        }
