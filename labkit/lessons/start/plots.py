# SPDX-License-Identifier: Apache-2.0
"""Lesson 00: how long each read took, in the order in which they were made."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from labkit import schema
from labkit.notebook.plotting import style

__all__ = ["plot"]


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the latency of each read against time, with the median as a line.

    The frame has `time_ns`, `latency_ns` and `block_bytes`, as `labkit.lessons.start.reads.measure` returns it.
    """
    ax = style.axes(ax)
    since = frame["time_ns"] - frame["time_ns"].min()
    reads, middle = style.series(["each read", "median"]).values()
    ax.plot(since, frame["latency_ns"], label="each read", **{**reads, "linestyle": "none"})
    name = f"median: {schema.si_ns(frame['latency_ns'].median())}"
    ax.axhline(frame["latency_ns"].median(), label=name, **{**middle, "marker": "none"})
    style.axis(ax, "x", "time_ns")
    ax.set_xlabel("time since the first read")
    style.axis(ax, "y", "latency_ns", log=10)
    size = schema.si_bytes(frame["block_bytes"].iloc[0])
    return style.finish(ax, frame, title=f"How long each read of {size} took")
