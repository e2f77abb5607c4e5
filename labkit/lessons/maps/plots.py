# SPDX-License-Identifier: Apache-2.0
"""Lesson 02: what each way of counting lost, what each channel costs, histograms, pairs, a full map."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes

from labkit import schema
from labkit.notebook.plotting import style

__all__ = ["plot"]


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of lesson 02; its columns say which of the pictures it wants."""
    ax = style.axes(ax)
    return next(draw for column, draw in _PICTURES.items() if column in frame)(frame, ax)


def _lost_updates(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Bars of what was lost: what happened and what the map says would look alike beside each other."""
    counted = frame[frame["count"] > 0]
    left, right = style.split(ax)
    totals = counted.groupby("arm", sort=True)["lost_updates"].median()
    _bars(left, totals, "lost_updates", "Updates lost in each run (median)")
    _spread(right, _arms(frame), frame)
    return style.finish(left, frame, legend=False)


def _channels(frame: pd.DataFrame, ax: Axes) -> Axes:
    left, right = style.split(ax)
    arms = _arms(frame)
    _spread(left, arms, frame, log=10)
    sent = frame[frame["room_bytes"] > 0]
    share = 100 * (1 - sent["received"] / sent["records"]).groupby(sent["arm"]).mean()
    _bars(right, share.reindex([arm for arm in arms if arm in share.index]), "lost_events", "Records lost of 100")
    right.set_xlim(0, 119)
    return style.finish(left, frame, legend=False)


def _histograms(frame: pd.DataFrame, ax: Axes) -> Axes:
    first = None
    for one, kind in zip(style.split(ax, rows=2, columns=1), ("log2", "linear"), strict=True):
        bars = frame[frame["histogram"] == kind]
        names = [_range(low, high) for low, high in zip(bars["low_bytes"], bars["high_bytes"], strict=True)]
        how = style.bars(("log2", "linear"))[kind]
        drawn = one.bar(range(len(bars)), bars["count"], width=0.9, **how)
        if len(bars) <= 16:
            one.bar_label(drawn)
        step = max(1, len(bars) // 8)
        one.set_xticks(range(0, len(bars), step), names[::step], fontsize=8)
        style.axis(one, "y", "count")
        one.margins(y=0.25)
        one.set_title(f"{kind} bars (empty ones left out)", loc="left", fontsize=10)
        one.set_xlabel("bytes written" if kind == "linear" else "")
        first = first or one
    assert first is not None
    return style.finish(first, frame, legend=False)


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}–{high}"


def _pairs(frame: pd.DataFrame, ax: Axes) -> Axes:
    keys = list(dict.fromkeys(frame["key"]))
    for number, one in enumerate(style.split(ax, columns=len(keys), sharey=True)):
        rows = frame[frame["key"] == keys[number]].sort_values("asked_ns", kind="stable")
        for place, (tid, how) in enumerate(style.series(rows["tid"]).items()):
            mine = rows[rows["tid"] == tid]
            since = mine["time_ns"] - rows["time_ns"].min()
            one.plot(since, mine["latency_ns"], label=f"thread {place + 1}", **{**how, "linestyle": "none"})
            if len(mine):
                one.axhline(mine["asked_ns"].iloc[0], color=how["color"], linewidth=1, linestyle="--")
        style.axis(one, "x", "time_ns")
        style.axis(one, "y", "latency_ns")
        one.set_ylabel(schema.label("latency_ns") if number == 0 else "")
        one.set_ylim(bottom=0)
        style.finish(one, frame, title=f"Key: {keys[number]} (dashes: asked for)")
    return one


def _order(frame: pd.DataFrame, ax: Axes) -> Axes:
    arms = list(dict.fromkeys(frame["arm"]))
    for number, one in enumerate(style.split(ax, columns=len(arms), sharey=True)):
        rows = frame[frame["arm"] == arms[number]]
        for cpu, how in style.series(sorted(rows["cpu"].unique())).items():
            mine = rows[rows["cpu"] == cpu]
            one.plot(mine["arrived"], mine["event_number"], label=f"CPU {cpu}", **{**how, "linestyle": "none"})
        style.axis(one, "x", "arrived")
        style.axis(one, "y", "event_number")
        one.set_ylabel("order in which it happened" if number == 0 else "")
        style.finish(one, frame, title=arms[number])
    return one


def _full(frame: pd.DataFrame, ax: Axes) -> Axes:
    parts = {"count": "counted by a key of the map", "forgotten": "forgotten with their key", "refused": "refused"}
    shown = frame.assign(forgotten=frame["calls"] - frame["count"] - frame["refused"])
    left = pd.Series(0, index=shown.index)
    for (column, label), how in zip(parts.items(), style.bars(parts).values(), strict=True):
        drawn = ax.barh(shown["arm"], shown[column], left=left, height=0.5, label=label, **how)
        ax.bar_label(
            drawn,
            [str(n) if n else "" for n in shown[column]],
            label_type="center",
            bbox={"facecolor": "white", "linewidth": 0, "pad": 2},
        )
        left = left + shown[column]
    ax.set_xlabel("events")
    ax.margins(x=0.02)
    ax.set_ylim(-0.6, 2.2)
    room, keys = shown["entries"].iloc[0], shown["keys"].iloc[0]
    return style.finish(ax, frame, title=f"{keys} keys for maps with room for {room}")


def _cpus(frame: pd.DataFrame, ax: Axes) -> Axes:
    _bars(ax, frame.assign(cpu="CPU " + frame["cpu"].astype(str)).set_index("cpu")["count"], "count", "")
    return style.finish(ax, frame, title="Each CPU has a slot of its own; the count is their sum")


def _bars(ax: Axes, totals: pd.Series, column: str, title: str) -> None:
    """Draw one horizontal bar for each row."""
    for place, (how, value) in enumerate(zip(style.bars(totals.index).values(), totals, strict=True)):
        ax.bar_label(ax.barh(place, value, height=0.6, **how), [f"{value:,.0f}"], padding=3)
    ax.set_yticks(range(len(totals)), list(totals.index))
    ax.set_ylim(len(totals) - 0.5, -0.5)
    style.axis(ax, "x", column)
    ax.margins(x=0.3)
    ax.set_title(title, loc="left", fontsize=10, color=style.INK)


def _arms(frame: pd.DataFrame) -> list[str]:
    """Return the arms, the baseline and its double first."""
    return sorted(frame["arm"].unique(), key=lambda arm: (not arm.startswith(frame.attrs["baseline"]), arm))


def _spread(ax: Axes, arms: list[str], frame: pd.DataFrame, *, log: float | None = None) -> None:
    """Draw what a call took in each slice as a mark, one row an arm, and the median as a stroke."""
    for place, (arm, how) in enumerate(style.series(arms).items()):
        values = frame.loc[frame["arm"] == arm, "ns_per_call"]
        ax.plot(values, [place] * len(values), **{**how, "linestyle": "none"})
        ax.plot([values.median()] * 2, [place - 0.3, place + 0.3], color=how["color"], linewidth=2)
    ax.set_yticks(range(len(arms)), arms, fontsize=8)
    ax.set_ylim(len(arms) - 0.5, -0.5)
    style.axis(ax, "x", "ns_per_call", log=log)
    ax.set_title("Each slice, and the median", loc="left", fontsize=10, color=style.INK)


# the first of these columns that a frame has names its picture
_PICTURES: dict[str, Callable[[pd.DataFrame, Axes], Axes]] = {
    "lost_updates": _lost_updates,
    "records": _channels,
    "histogram": _histograms,
    "key": _pairs,
    "arrived": _order,
    "entries": _full,
    "cpu": _cpus,
}
