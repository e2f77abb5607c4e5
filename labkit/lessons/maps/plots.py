# SPDX-License-Identifier: Apache-2.0
"""Lesson 02: what each way of counting lost, what each channel costs, histograms, pairs, a full map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from labkit import schema
from labkit.notebook.plotting import style

__all__ = ["plot"]

MOST_LABELS, FEW_BARS = 8, 6


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of lesson 02; its columns say which of the pictures it wants."""
    return style.picture(_PICTURES, frame, ax)


def _lost_updates(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Bars of what was lost: what happened and what the map says would look alike next to each other."""
    counted = frame[frame["count"] > 0]
    left, right = style.split(ax)
    totals = counted.groupby("arm", sort=True)["lost_updates"].median()
    _bars(left, totals, "lost_updates", "Updates lost in each run (median)", of=_arms(frame))
    _spread(right, _arms(frame), frame)
    return style.finish(left, frame, legend=False)


def _channels(frame: pd.DataFrame, ax: Axes) -> Axes:
    left, right = style.split(ax)
    arms = _arms(frame)
    _spread(left, arms, frame, log=10)
    sent = frame[frame["room_bytes"] > 0]
    share = 100 * (1 - sent["received"] / sent["records"]).groupby(sent["arm"]).mean()
    share = share.reindex([arm for arm in arms if arm in share.index])
    _bars(right, share, "lost_events", "Records lost per 100", of=arms)
    right.set_xlim(0, 119)
    return style.finish(left, frame, legend=False)


def _histograms(frame: pd.DataFrame, ax: Axes) -> Axes:
    drawn = style.split(ax, rows=2, columns=1)
    for one, kind in zip(drawn, ("log2", "linear"), strict=True):
        bars, outside = _with_empty_bars(frame[frame["histogram"] == kind], kind)
        how = style.bars(("log2", "linear"))[kind]
        inside = one.bar(range(len(bars)), bars["count"], width=0.9, **how)
        beyond = [-1.5 if low == 0 else len(bars) + 0.5 for low in outside["low_bytes"]]
        hollow = one.bar(
            beyond, outside["count"], width=0.9, **{**how, "facecolor": "white", "edgecolor": style.INK, "hatch": ""}
        )
        for some in (inside, hollow):
            one.bar_label(some, [str(int(bar.get_height()) or "") for bar in some] if len(bars) <= 16 else [])
        places = [*range(0, len(bars), max(1, -(-len(bars) // MOST_LABELS))), *beyond]
        rows = [*bars.itertuples(), *outside.itertuples()]
        names = [_range(rows[at], few=len(bars) <= FEW_BARS) for at in places[: len(places) - len(beyond)]]
        one.set_xticks(places, [*names, *("below" if place < 0 else "above" for place in beyond)], fontsize=8)
        style.axis(one, "y", "count")
        one.margins(y=0.25)
        one.set_title(f"{kind} bars{' (hollow: outside of them)' if beyond else ''}", loc="left", fontsize=10)
        smallest = "" if len(bars) <= FEW_BARS else " (the smallest size of a bar)"
        one.set_xlabel("bytes written" + smallest if kind == "linear" else "")
    return style.finish(drawn[0], frame, title="log2 bars", legend=False)


def _with_empty_bars(bars: pd.DataFrame, kind: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the bars from the first to the last with the empty ones between, and those outside of a linear range."""
    width = bars["high_bytes"] - bars["low_bytes"] + 1
    outside = (width > width.min()) & (kind == "linear")
    shown = bars[~outside].set_index("low_bytes")
    low, last, step = int(shown.index.min()), int(shown.index.max()), int(width.min())
    lows = [1 << bit for bit in range(low.bit_length() - 1, last.bit_length())]
    lows = lows if kind == "log2" else list(range(low, last + 1, step))
    full = pd.DataFrame(
        {"low_bytes": lows, "high_bytes": [2 * at - 1 if kind == "log2" else at + step - 1 for at in lows]}
    )
    return full.assign(count=[int(shown["count"].get(at, 0)) for at in lows]), bars[outside]


def _range(bar: Any, *, few: bool) -> str:
    """Return the sizes in a bar as text: only the smallest where there are too many bars for both ends."""
    return str(bar.low_bytes) if not few or bar.low_bytes == bar.high_bytes else f"{bar.low_bytes}–{bar.high_bytes}"


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


def _bars(ax: Axes, totals: pd.Series, column: str, title: str, *, of: Sequence[str] = ()) -> None:
    """Draw one horizontal bar for each row, in its colour among `of`: the same as in the picture next to it."""
    looks = style.bars(of or totals.index)
    for place, (name, value) in enumerate(totals.items()):
        ax.bar_label(ax.barh(place, value, height=0.6, **looks[name]), [f"{value:,.0f}"], padding=3)
    style.rows(ax, totals.index)
    style.axis(ax, "x", column)
    ax.set_xlim(0, 1.35 * totals.max() or 1)  # where nothing was lost, the axis begins at 0 all the same
    ax.set_title(title, loc="left", fontsize=10, color=style.INK)


def _arms(frame: pd.DataFrame) -> list[str]:
    """Return the arms, the baseline and its double first."""
    return sorted(frame["arm"].unique(), key=lambda arm: (not arm.startswith(frame.attrs["baseline"]), arm))


def _spread(ax: Axes, arms: list[str], frame: pd.DataFrame, *, log: float | None = None) -> None:
    """Draw what a call took in each slice as a mark, one row per arm, and the median as a stroke."""
    for place, (arm, how) in enumerate(style.series(arms).items()):
        values = frame.loc[frame["arm"] == arm, "ns_per_call"]
        ax.plot(values, [place] * len(values), **{**how, "linestyle": "none"})
        ax.plot([values.median()] * 2, [place - 0.3, place + 0.3], color=how["color"], linewidth=2)
    style.rows(ax, arms, fontsize=8)
    style.axis(ax, "x", "ns_per_call", log=log)
    ax.set_title("Each slice, and the median", loc="left", fontsize=10, color=style.INK)


_PICTURES: style.Pictures = {
    "lost_updates": _lost_updates,
    "records": _channels,
    "histogram": _histograms,
    "key": _pairs,
    "arrived": _order,
    "entries": _full,
    "cpu": _cpus,
}
