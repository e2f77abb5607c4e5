# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: choose a program and what to look at."""

from __future__ import annotations

import shlex
from collections.abc import Hashable
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import BadArgument
from labkit.lessons.your_program.plots import plot
from labkit.lessons.your_program.watching import PRICE, VIEWS, cost, watch
from labkit.notebook.panel import Panel, controls
from labkit.running.progress import Progress

__all__ = ["finding", "panel"]

USUAL = "git --version"


def panel() -> Panel:
    """Return the panel of lesson 12."""
    return Panel(
        "Watch a program",
        controls={
            "command": controls.text("command", USUAL),
            "pid": controls.whole("pid", 0, 0, 2**22, label="or process id (0: none)"),
            "cgroup": controls.text("or cgroup folder"),
            "what": controls.choose("what", VIEWS, "calls", label="look at"),
            "seconds": controls.real("seconds", 2.0, 0.05, 600, label="at most (s)"),
        },
        measure=_measure,
        plot=plot,
        finding=finding,
        table=_without_price,
    )


def _without_price(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame without what is the same in each row, and in the sentence above it."""
    return frame.drop(columns=[name for name in PRICE if name in frame])


def _measure(
    command: str, pid: int, cgroup: str, what: str, seconds: float, *, progress: Progress | None = None
) -> pd.DataFrame:
    if pid and cgroup.strip():
        raise BadArgument("There are two targets.", "set the process id to 0, or leave the cgroup empty")
    if pid:
        return watch(what, pid=pid, seconds=seconds, progress=progress)
    if cgroup.strip():
        return watch(what, cgroup=cgroup.strip(), seconds=seconds, progress=progress)
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not words:
        raise BadArgument("There is no command.", "write a command, with each quote closed, or a process id")
    return watch(what, command=words, seconds=seconds, progress=progress)


def finding(frame: pd.DataFrame) -> str:
    """Return what the frame shows, and what it cost to look, in a few sentences."""
    if frame.empty:
        first = "Nothing was seen."
    elif "stack" in frame:
        first = _stacks(len(frame))
    else:
        first = _first_row(frame.head(1).to_dict("records")[0])
    return f"{first} {cost(frame)}"


def _stacks(number: int) -> str:
    return "There is one stack." if number == 1 else f"There are {number} different stacks."


def _first_row(row: dict[Hashable, Any]) -> str:
    """Return the largest of what was found in words."""
    if "rtt_ns" in row:
        trip = f"a round trip took {schema.si_ns(row['mean_ns'])} on average, over {row['count']} segments"
        return f"On the connection from port {row['local_port']} to port {row['remote_port']}, {trip}."
    longest = f"The longest time, {schema.si_ns(row['total_ns'])}"
    if "lock" in row:
        return f"{longest}: {row['count']} waits for the lock at {row['lock']}."
    return f"{longest}: {row.get('call') or row.get('path') or row['wait']}."
