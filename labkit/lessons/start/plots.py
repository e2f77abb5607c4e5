# SPDX-License-Identifier: Apache-2.0
"""Lesson 00: how long each read took, in the order in which they were made."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from labkit import schema
from labkit.notebook.plotting import style

__all__ = ["plot"]

MOST_RUNS = 6
_SHORTEST_NS = 1000  # what the axis of time shows at least: a single read has no duration between first and last


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the latency of each read against time, with the median of each run as a line.

    The frame has `time_ns`, `latency_ns` and `block_bytes`, as `labkit.lessons.start.reads.measure` returns it, and may
    have `run`; of many runs, the last are drawn.
    """
    ax = style.axes(ax)
    runs = [(f"run {number}, ", rows) for number, rows in frame.groupby("run")] if "run" in frame else [("", frame)]
    span = float(_SHORTEST_NS)
    for (name, rows), how in zip(runs[-MOST_RUNS:], style.series(range(MOST_RUNS)).values(), strict=False):
        since, middle = rows["time_ns"] - rows["time_ns"].min(), rows["latency_ns"].median()
        label = f"{name}{schema.si_bytes(rows['block_bytes'].iloc[0])}: median {schema.si_ns(middle)}"
        ax.plot(since, rows["latency_ns"], label=label, **{**how, "linestyle": "none"})
        ax.axhline(middle, **{**how, "marker": "none"})
        span = max(span, float(since.max()))
    style.axis(ax, "x", "time_ns")
    ax.set_xlabel("time since the first read")
    ax.set_xlim(-0.03 * span, 1.03 * span)
    style.axis(ax, "y", "latency_ns", log=10)
    if len(runs) > 1:
        style.finish(ax, frame, title="How long each read took (lines: medians)", legend=False)
        style.legend_below(ax)
    else:
        style.finish(ax, frame, title=f"How long each read took. {label} (line)", legend=False)
    return ax
