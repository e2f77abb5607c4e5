# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: choose a program and what to look at."""

from __future__ import annotations

import shlex

import pandas as pd

from labkit import schema
from labkit.errors import BadArgument
from labkit.lessons.your_program.plots import plot
from labkit.lessons.your_program.watching import VIEWS, cost, watch
from labkit.notebook.panel import Panel, controls
from labkit.running.progress import Progress

__all__ = ["finding", "panel"]

USUAL = "git --version"
_NAMES = ("call", "path", "wait", "lock", "stack")


def panel() -> Panel:
    """Return the panel of lesson 12."""
    return Panel(
        "Watch a program",
        controls={
            "command": controls.text("command", USUAL),
            "pid": controls.whole("pid", 0, 0, 2**22, label="or process id (0: the command)"),
            "what": controls.choose("what", VIEWS, "calls", label="look at"),
            "seconds": controls.real("seconds", 2.0, 0.05, 600, label="at most (s)"),
        },
        measure=_measure,
        plot=plot,
        finding=finding,
    )


def _measure(command: str, pid: int, what: str, seconds: float, *, progress: Progress | None = None) -> pd.DataFrame:
    if pid:
        return watch(what, pid=pid, seconds=seconds, progress=progress)
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not words:
        raise BadArgument("There is no command.", "write a command, with each quote closed, or a process id")
    return watch(what, command=words, seconds=seconds, progress=progress)


def finding(frame: pd.DataFrame) -> str:
    """Return what the frame shows, and what it cost to look, in a few sentences."""
    said = [cost(frame), *frame.attrs.get("warnings", [])]
    name = next((column for column in _NAMES if column in frame), None)
    if frame.empty:
        said.insert(0, "Nothing was seen.")
    elif name == "stack":
        said.insert(0, f"There are {len(frame)} different stacks.")
    elif name is not None:
        row = frame.iloc[0]
        said.insert(0, f"The longest time, {schema.si_ns(row['total_ns'])}: {row[name]}.")
    return " ".join(said)
