# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: what durable writes cost, and latency against the offered rate."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from labkit import schema
from labkit.notebook.plotting import style

__all__ = ["durable", "offered_load"]


def durable(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the rate of each kind of write as a bar with its 95 % interval."""
    rows = frame.to_dict("records")
    looks = style.bars(list(dict.fromkeys(frame["durable"])))
    below, above = style.reach(frame, "ios_per_s")
    for place, row in enumerate(rows):
        reach = [[below.iloc[place]], [above.iloc[place]]]
        bar = ax.barh(place, row["ios_per_s"], height=0.6, xerr=reach, capsize=3, **looks[row["durable"]])
        ax.bar_label(bar, [f"{schema.si_count(row['ios_per_s'])}/s"], padding=6)
    style.rows(ax, [row["durable"] + (" (again)" if row["again"] else "") for row in rows])
    style.axis(ax, "x", "ios_per_s", log=10)
    ax.margins(x=0.3)
    return style.finish(ax, frame, title="Writes per second, 95 % interval", legend=False)


def offered_load(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the p99 against the offered rate, counted from the time a read was due and from its submission."""
    opened = frame[frame["loop"] == "open"].sort_values("offered_per_s")
    due, sent, closed = style.series(["since it was due", "since its submission", "closed loop"]).values()
    for column, label, look in (
        ("p99_ns", "open loop, since it was due", due),
        ("service_p99_ns", "open loop, since its submission", sent),
    ):
        reach = style.reach(opened, column)
        ax.errorbar(opened["offered_per_s"], opened[column], yerr=reach, capsize=3, label=label, **look)
    first = frame[frame["loop"] == "closed"].iloc[0]
    ax.plot(
        [first["ios_per_s"]], [first["p99_ns"]], label="closed loop", **{**closed, "linestyle": "none", "markersize": 9}
    )
    style.axis(ax, "x", "offered_per_s")
    style.axis(ax, "y", "latency_ns", log=10)
    ax.set_ylabel("p99 of the latency", color=style.INK)
    return style.finish(ax, frame, title="The same service, two ways to ask: two p99s")
