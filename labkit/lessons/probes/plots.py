# SPDX-License-Identifier: Apache-2.0
"""Lesson 04: what each mechanism counts and costs, the decorator next to the probes."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from labkit import schema
from labkit.notebook.plotting import style
from labkit.notebook.plotting.flame import flame

__all__ = ["plot"]


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of `labkit.lessons.probes.mechanisms`; its columns decide which picture."""
    return style.picture(_PICTURES, frame, ax)


def _counts(frame: pd.DataFrame, ax: Axes) -> Axes:
    sides = {"at_entry": "at the entry", "at_return": "at the return"}
    for number, ((column, label), how) in enumerate(zip(sides.items(), style.bars(sides).values(), strict=True)):
        places = [place + (number - 0.5) * 0.38 for place in range(len(frame))]
        ax.barh(places, frame[column], height=0.36, label=label, **how)
    for place, row in enumerate(frame.itertuples()):
        said = f"{row.at_entry} and {row.at_return}" if row.state == "ok" else str(row.state)
        ax.text(frame["calls"].max() * 0.02 + row.at_entry, place, said, va="center", fontsize=9, color=style.INK)
    ax.axvline(frame["calls"].max(), color=style.INK, linestyle="--", linewidth=1, label="calls made")
    style.rows(ax, frame["mechanism"], below=0.4, above=0.6)
    style.axis(ax, "x", "count")
    ax.set_xlim(0, frame["calls"].max() * 1.6)
    return style.finish(ax, frame, title="The same calls, counted by each mechanism")


def _costs(frame: pd.DataFrame, ax: Axes) -> Axes:
    """A mark and its interval for each arm; logarithmic from 10 ns on, and linear around zero."""
    rows = frame[frame["slices"] > 0].reset_index(drop=True)
    kinds = rows["arm"].str.partition(" at ")[0]
    for kind, how in style.series(kinds).items():
        mine = rows[kinds == kind]
        reach = [mine["added_ns"] - mine["low_ns"], mine["high_ns"] - mine["added_ns"]]
        ax.errorbar(mine["added_ns"], mine.index, xerr=reach, capsize=3, **{**how, "linestyle": "none"})
    ax.axvline(0, color=style.INK, linewidth=1)
    style.rows(ax, rows["arm"], fontsize=8)
    style.axis(ax, "x", "added_ns")
    ax.set_xscale("symlog", linthresh=100)
    ax.xaxis.set_major_formatter(lambda added_ns, _: schema.si_ns(added_ns))
    ax.xaxis.set_minor_formatter(lambda *_: "")
    absent = ", ".join(frame.loc[frame["slices"] == 0, "arm"])
    return style.finish(
        ax, frame, title="Time added to one call, with 95 % intervals" + (f" (not here: {absent})" if absent else "")
    )


def _naps(frame: pd.DataFrame, ax: Axes) -> Axes:
    for arm, how in style.series(frame["arm"]).items():
        mine = frame[frame["arm"] == arm]
        ax.plot(mine["event_number"], mine["latency_ns"], label=arm, alpha=0.8, **{**how, "linestyle": "none"})
    for asked in sorted(frame["argument"].unique()):
        ax.axhline(asked * 1000, color=style.INK, linestyle="--", linewidth=0.8)
    style.axis(ax, "x", "event_number")
    ax.set_xlabel("number of the call")
    style.axis(ax, "y", "latency_ns")
    ax.set_ylim(bottom=0)
    return style.finish(
        ax, frame, title="Each call of nap(), timed from inside and from outside (dashed lines: requested)"
    )


def _functions(frame: pd.DataFrame, ax: Axes) -> Axes:
    style.side_by_side(ax, frame, {"calls": "calls made", "count": "calls seen"})
    refused = frame["state"] != "ok"
    names = frame["function"] + "()" + refused.map({True: "\n(no such symbol)", False: ""})
    ax.set_xticks(range(len(frame)), list(names))
    style.axis(ax, "y", "count")
    ax.margins(y=0.25)
    return style.finish(ax, frame, title="Three functions, called equally often")


_PICTURES: style.Pictures = {
    "stack": flame,
    "added_ns": _costs,
    "at_entry": _counts,
    "argument": _naps,
    "function": _functions,
}
