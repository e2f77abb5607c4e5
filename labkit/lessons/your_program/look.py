# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: what each way to look at a program has in common."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf import maps, price
from labkit.bpf.program import Program
from labkit.lessons.your_program.target import Running

__all__ = ["Look", "sorted_frame"]


class Look:
    """One BPF program, aimed at one target while its block runs."""

    views: tuple[str, ...] = ()  # the frames that it gives

    def __init__(self, program: Program) -> None:
        self.program = program
        self.lost = 0
        self.warnings: list[str] = []  # what a learner must know to read the frames
        self.cost = pd.DataFrame()

    def __enter__(self) -> Look:
        self._held = contextlib.ExitStack()
        self._held.enter_context(self.program)
        self.opened()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def aim(self, running: Running) -> None:
        """Attach it, aimed at the target, with empty maps; it counts nothing before `begin`."""
        self.program.clear()
        if running.target.cgroup is not None:
            self.program.aim(cgroup=running.target.cgroup)
        else:
            self.program.aim(pid=running.pids)
        self.prepare(running)
        self._told: Callable[[], pd.DataFrame] = self._held.enter_context(price.metered(self.program))
        self.attach()

    def begin(self, running: Running, more: list[int]) -> None:
        """Let it count from now on, `more` processes, too; a command's exec does the same."""
        if running.target.command:
            return
        if more:
            self.program.also(*more)
        maps.write_array(self.program.map_fd("begun"), pd.Series([1], dtype="uint32").to_numpy())

    def attach(self) -> None:
        """Attach it."""
        self.program.attach()

    def stop(self) -> None:
        """Detach it, and note what it cost and lost."""
        self.stopped_ns = time.monotonic_ns()
        self.program.detach()
        self.cost, self.lost = self._told(), self.program.lost_events

    # what a way to look fills in

    def opened(self) -> None:
        """Forget what an earlier target left."""

    def prepare(self, running: Running) -> None:
        """Write what the program must know before it is attached."""

    def before_the_end(self) -> None:
        """Ask, while the process lives, for what nobody can ask of it afterwards; called many times per second."""

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return what was found: one frame for each of `views`."""
        raise NotImplementedError


def sorted_frame(rows: list[dict[str, Any]], columns: list[str], by: str) -> pd.DataFrame:
    """Return the rows as a frame, the largest first."""
    rows.sort(key=lambda row: -row[by])
    return schema.frame({name: [row[name] for row in rows] for name in columns})
