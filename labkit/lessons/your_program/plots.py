# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: what a program did, as bars; its stacks as a flame graph."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from labkit import schema
from labkit.notebook.plotting import style
from labkit.notebook.plotting.flame import flame

__all__ = ["plot"]

MOST_BARS = 12
_NAME_LETTERS = 40
_NAMES = ("call", "path", "wait", "lock", "connection")
_TITLES = {
    "call": "Time in system calls",
    "path": "Time in calls on each file",
    "wait": "Time off the CPU",
    "lock": "Time that threads waited for each lock",
    "connection": "Last round trip of each connection",
}


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of `watch`, or of the three programs: stacks as a flame graph, the others as bars."""
    ax = style.axes(ax)
    if frame.empty:
        ax.text(0.5, 0.5, "nothing was seen", ha="center", transform=ax.transAxes, color=style.INK)
        return style.finish(ax, frame, legend=False)
    if "stack" in frame and "total_ns" in frame:
        total = f"{schema.si_ns(frame['total_ns'].sum())} off the CPU"
        return flame(frame.assign(count=frame["total_ns"]), ax, total=total, of="time off the CPU")
    if "stack" in frame:
        return flame(frame, ax, of="page faults" if "fault" in frame else "samples")
    if "rtt_ns" in frame:  # one port of a server has many connections
        ports = zip(frame["local_port"], frame["remote_port"], strict=True)
        frame = frame.assign(connection=[f"{own} to {other}" for own, other in ports])
    return _bars(frame, ax)


def _bars(frame: pd.DataFrame, ax: Axes) -> Axes:
    name = next(column for column in _NAMES if column in frame)
    value = "total_ns" if "total_ns" in frame else "rtt_ns"
    phases = list(dict.fromkeys(frame["phase"])) if "phase" in frame else [""]
    largest = list(frame.groupby(name, sort=False)[value].max().sort_values(ascending=False).index[:MOST_BARS])
    height = 0.8 / len(phases)
    for number, (phase, how) in enumerate(style.bars(phases).items()):
        rows = frame[frame["phase"] == phase] if "phase" in frame else frame
        sums = rows.groupby(name)[value].sum()
        places = [place + (number - (len(phases) - 1) / 2) * height for place in range(len(largest))]
        ax.barh(places, [sums.get(each, 0) for each in largest], height=height * 0.95, label=phase, **how)
    style.rows(ax, [_end(str(each)) for each in largest], fontsize=8, below=0.4, above=0.6)
    style.axis(ax, "x", value)
    return style.finish(ax, frame, title=_TITLES[name], legend=len(phases) > 1)


def _end(name: str) -> str:
    """Return the end of a name that is too long for its place."""
    return name if len(name) <= _NAME_LETTERS else f"…{name[1 - _NAME_LETTERS :]}"
