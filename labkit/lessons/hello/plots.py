# SPDX-License-Identifier: Apache-2.0
"""Lesson 01: when each process did it, and how often in each phase."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from labkit.notebook.plotting import style

__all__ = ["plot"]

MOST_ROWS = 16


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw a time line of events, one row per process; or bars, where the frame holds counts and no times.

    The frame has `time_ns` and `pid`, and may have `comm` and, to tell events apart, `phase` or `path`; or it has
    `phase` and `count`, and may have `runs`, what the workload says it did.
    """
    if "time_ns" not in frame:
        return _counts(frame, style.axes(ax))
    drawn = _timeline(frame, style.axes(ax))
    figure = drawn.get_figure(root=True)
    if ax is None and figure is not None:  # a figure of our own: as high as its rows need
        figure.set_figheight(1.2 + 0.3 * max(len(drawn.get_yticks()), 3))
    return drawn


def _timeline(frame: pd.DataFrame, ax: Axes) -> Axes:
    names, what = _row_names(frame)
    busiest = set(names.value_counts().index[:MOST_ROWS])
    rows = {name: row for row, name in enumerate(name for name in dict.fromkeys(names) if name in busiest)}
    kept = names.isin(busiest)
    since = frame["time_ns"] - frame["time_ns"].min()
    kind = next((frame[column] for column in ("phase", "path") if column in frame), pd.Series("", index=frame.index))
    for label, how in style.series(kind).items():
        chosen = kept & (kind == label)
        ax.plot(since[chosen], names[chosen].map(rows), label=label or None, **{**how, "linestyle": "none"})
    style.rows(ax, rows)
    style.axis(ax, "x", "time_ns")
    ax.set_xlabel("time since the first event")
    hidden = names.nunique() - len(rows)
    title = f"Each mark is one event, each row one {what}"
    return style.finish(ax, frame, title=f"{title} ({hidden} quieter ones not drawn)" if hidden else title)


def _row_names(frame: pd.DataFrame) -> tuple[pd.Series[str], str]:
    """Return the row of each event, and what a row is: a process, or, where those are many, a name of processes."""
    pids = (
        "process " + frame["pid"].astype(str) if "comm" not in frame else frame["comm"] + " " + frame["pid"].astype(str)
    )
    if "comm" in frame and pids.nunique() > MOST_ROWS:
        return frame["comm"].astype(str), "process name"
    return pids, "process"


def _counts(frame: pd.DataFrame, ax: Axes) -> Axes:
    sides = {"runs": "what the workload did", "count": "what the program saw"}
    shown = {column: label for column, label in sides.items() if column in frame}
    totals = frame.groupby("phase", sort=False)[list(shown)].sum()
    style.side_by_side(ax, totals, shown)
    ax.set_xticks(range(len(totals)), list(totals.index))
    style.axis(ax, "y", "count")
    ax.margins(y=0.35 if len(shown) > 1 else 0.15)  # room for the legend
    return style.finish(
        ax, frame, title="A probe acts only while it is attached" if len(shown) > 1 else "Events counted"
    )
