# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: latency and rate by engine, curves over the depth, costs per I/O, lanes in time, sleeps, ratios."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from labkit import schema
from labkit.lessons.io_engines import plot_arms as arms
from labkit.lessons.io_engines import plot_loads
from labkit.lessons.io_engines.probe_cost import watched_ratios
from labkit.lessons.io_engines.timelines import overlap
from labkit.notebook.plotting import style

__all__ = ["plot"]

MOST_LANES = 16
LONGEST = 12  # times as long as the fastest engine: longer ones run out of the picture
ROWS, ROW_IN = 5, 0.3  # named rows that fit in a figure of the usual height; inches that each further one needs
PLOTS_IN_A_ROW, PLOT_IN = 3, 2.6  # small plots, one per block size; inches that each further row of them needs
_BESIDE = ((6, -11), (6, 5), (-14, 5), (-14, -11))  # where the depth is written next to its mark, in points


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of this lesson; its columns say which picture it needs."""
    return style.picture(_PICTURES, frame, ax)


def _sweep(frame: pd.DataFrame, ax: Axes) -> Axes:
    if not {"low_ios_per_s", "again"} <= set(frame):
        frame = frame.assign(low_ios_per_s=frame["ios_per_s"], high_ios_per_s=frame["ios_per_s"], again=False)
    first = frame[~frame["again"]]
    if first.loc[first["engine"] != "sync", "queue_depth"].nunique() > 1:
        return _curves(first, ax)
    if first["block_bytes"].nunique() > 1:
        return _sizes(first, ax)
    return _arms(frame.reset_index(drop=True), ax)


def _rate_reach(rows: pd.DataFrame, scale: str = "ios_per_s") -> list[pd.Series]:
    """Return how far the 95 % interval of the rate reaches below and above it."""
    unit = rows[scale] / rows["ios_per_s"]
    below = (rows["ios_per_s"] - rows["low_ios_per_s"]).clip(lower=0) * unit
    return [below, (rows["high_ios_per_s"] - rows["ios_per_s"]).clip(lower=0) * unit]


def _whiskers(
    ax: Axes, rows: pd.DataFrame, x: pd.Series, name: str, how: dict[str, Any], xerr: list[pd.Series] | None = None
) -> None:
    """Draw medians with bars from quartile to quartile, and above each, on a thin line, the 99th percentile."""
    reach = [rows["p50_ns"] - rows["p25_ns"], rows["p75_ns"] - rows["p50_ns"]]
    reach = [side.clip(lower=0) for side in reach]
    ax.errorbar(x, rows["p50_ns"], yerr=reach, xerr=xerr, label=name, capsize=3, **how)
    ax.vlines(x, rows["p75_ns"], rows["p99_ns"], color=how["color"], linewidth=0.6, alpha=0.5)
    ax.plot(x, rows["p99_ns"], color=how["color"], marker="_", markersize=10, linestyle="none")


def _sizes(frame: pd.DataFrame, ax: Axes) -> Axes:
    left, right = style.split(ax)
    names = arms.names(frame, "block_bytes")
    for name, how in arms.series(frame, "block_bytes").items():
        rows = frame[names == name].sort_values("block_bytes")
        _whiskers(left, rows, rows["block_bytes"], name, how)
        reach = _rate_reach(rows, "bytes_per_s")
        right.errorbar(rows["block_bytes"], rows["bytes_per_s"], yerr=reach, label=name, capsize=3, **how)
    for one, column, base in ((left, "latency_ns", 10), (right, "bytes_per_s", 2)):
        style.axis(one, "x", "block_bytes", log=2, ticks=frame["block_bytes"])
        style.axis(one, "y", column, log=base)
    style.legend_below(left)
    style.finish(right, frame, title="Throughput, 95 % interval", legend=False)
    return style.finish(left, frame, title="Median, quartiles; dash: p99", legend=False)


def _curves(frame: pd.DataFrame, ax: Axes) -> Axes:
    """One line per engine, one mark per depth, one small plot per block size: more throughput for more latency."""
    sizes = sorted(frame["block_bytes"].unique())
    columns = min(len(sizes), PLOTS_IN_A_ROW)
    rows = -(-len(sizes) // columns)
    style.grow(ax, PLOT_IN * (rows - 1))
    parts = style.split(ax, rows=rows, columns=columns) if len(sizes) > 1 else [ax]
    names, looks = arms.names(frame, "queue_depth", "block_bytes"), arms.series(frame, "queue_depth", "block_bytes")
    for one, size in zip(parts, sizes, strict=False):
        for number, (name, how) in enumerate(looks.items()):
            line = frame[(names == name) & (frame["block_bytes"] == size)].sort_values("queue_depth")
            if line.empty:
                continue
            _whiskers(one, line, line["ios_per_s"], name, how, _rate_reach(line))
            for row in line.to_dict("records"):
                one.annotate(
                    str(row["queue_depth"]),
                    (row["ios_per_s"], row["p50_ns"]),
                    xytext=_BESIDE[number % 4],
                    textcoords="offset points",
                    fontsize=8,
                    color=how["color"],
                )
        style.axis(one, "x", "ios_per_s")
        one.set_xlim(left=0)
        one.margins(y=0.12)  # room for the depths below their marks
        style.axis(one, "y", "latency_ns", log=10)
        one.set_ylabel("latency (dash: p99)", color=style.INK)
        if len(sizes) > 1:
            one.set_title(schema.si_bytes(size), loc="left", fontsize=10, color=style.INK)
    for spare in parts[len(sizes) :]:
        spare.set_visible(False)
    style.legend_below(parts[0])
    title = "Each mark is a queue depth"
    if len(sizes) > 1:
        title = (
            f"{title}\n{schema.si_bytes(sizes[0])}"  # the other sizes' titles have one line, so none is over another
        )
    return style.finish(parts[0], frame, title=title, legend=False)


def _arms(frame: pd.DataFrame, ax: Axes) -> Axes:
    left, right = style.split(ax, sharey=True)
    first = frame[~frame["again"]]
    looks, named = arms.series(first), arms.names(first).to_dict()
    names = [named.get(place, f"{row['engine']} (again)") for place, row in frame.iterrows()]
    shown = [named.get(place) or _first_of(named, row["engine"]) for place, row in frame.iterrows()]
    for place, (name, row) in enumerate(zip(shown, frame.to_dict("records"), strict=True)):
        quartiles = [[max(row["p50_ns"] - row["p25_ns"], 0)], [max(row["p75_ns"] - row["p50_ns"], 0)]]
        left.errorbar([row["p50_ns"]], [place], xerr=quartiles, capsize=3, **looks[name])
        left.plot([row["p99_ns"]], [place], color=looks[name]["color"], marker="|", markersize=12)
    below, above = _rate_reach(frame)
    for place, (how, value) in enumerate(zip(arms.bars(frame), frame["ios_per_s"], strict=True)):
        reach = [[below.iloc[place]], [above.iloc[place]]]
        bar = right.barh(place, value, height=0.5, xerr=reach, capsize=3, **how)
        right.bar_label(bar, [f"{schema.si_count(value)}/s"], padding=3)
    _rows(left, names)
    style.axis(left, "x", "latency_ns", log=10)
    style.axis(right, "x", "ios_per_s")
    right.margins(x=0.35)
    style.finish(right, frame, title="I/Os per second, 95 % interval", legend=False)
    return style.finish(left, frame, title="Median, quartiles; dash: p99", legend=False)


def _first_of(named: dict[Any, str], engine: str) -> str:
    """Return the first arm of an engine: the A/A arm is drawn like it."""
    return next(name for name in named.values() if name.split(",")[0] == engine)


def _rows(ax: Axes, names: Sequence[str] | pd.Series) -> None:
    """Name the rows, from the top; each has room, however many there are."""
    style.rows(ax, names)
    style.grow(ax, ROW_IN * (len(names) - ROWS))


def _per_io(frame: pd.DataFrame, ax: Axes) -> Axes:
    columns = [name for name in ("calls_per_io", "sleeps_per_io", "cpu_ns_per_io") if name in frame]
    parts = style.split(ax, columns=len(columns), sharey=True)
    for one, column in zip(parts, columns, strict=True):
        for place, (how, value) in enumerate(zip(arms.bars(frame), frame[column], strict=True)):
            one.bar_label(one.barh(place, value, height=0.5, **how), [schema.formatter(column)(value)], padding=3)
        style.axis(one, "x", column)
        one.margins(x=0.4)
    _rows(parts[0], arms.names(frame))
    return style.finish(parts[0], frame, title="What one I/O costs", legend=False)


def _lanes(frame: pd.DataFrame, ax: Axes) -> Axes:
    """One row per slot; each bar is an I/O from its submission until the program knows that it is complete."""
    engines = list(dict.fromkeys(frame["engine"]))
    most = overlap(frame).set_index("engine")["most_in_flight"]
    ended = frame.groupby("engine")["complete_ns"].max()
    end_ns = min(ended.max(), LONGEST * ended.min())
    parts = style.split(
        ax, rows=len(engines), columns=1, sharex=True, height_ratios=[2 + min(most[e], 8) for e in engines]
    )
    for one, engine in zip(parts, engines, strict=True):
        rows = frame[(frame["engine"] == engine) & (frame["slot"] < MOST_LANES)]
        for slot, ios in rows.groupby("slot"):
            spans = list(zip(ios["submit_ns"], ios["latency_ns"], strict=True))
            one.broken_barh(spans, (float(slot) - 0.4, 0.8), linewidth=0.5, **arms.bar(engine))  # type: ignore[arg-type]
        one.set_yticks([])
        one.set_ylabel(engine, rotation=0, ha="right", va="center", color=style.INK)
        said = f"at most {most[engine]} in flight at once; all done at {schema.si_ns(ended[engine])}"
        lanes = int(frame.loc[frame["engine"] == engine, "slot"].max()) + 1
        if lanes > MOST_LANES:
            said = f"{MOST_LANES} of {lanes} lanes drawn; {said}"
        one.set_title(said, loc="right", fontsize=9, color=style.INK)
        one.set_xlim(0, end_ns * 1.02)
        style.axis(one, "x", "time_ns")
        one.label_outer()
    parts[-1].set_xlabel("time since the engine's first I/O")
    title = f"The same {len(frame) // len(engines)} I/Os by each engine"
    return style.finish(parts[0], frame, title=title, legend=False)


def _calls(frame: pd.DataFrame, ax: Axes) -> Axes:
    """The time in each system call for one I/O, and how often the thread slept in it."""
    ways = list(dict.fromkeys(frame["cache"])) if "cache" in frame else [""]
    parts = style.split(ax, rows=len(ways), columns=1, sharex=True)
    calls = frame.groupby("engine")["call"].unique().map(list)
    for one, way in zip(parts, ways, strict=True):
        rows = frame[frame["cache"] == way] if way else frame
        for place, row in enumerate(rows.to_dict("records")):
            how = arms.bar(row["engine"], calls[row["engine"]].index(row["call"]))
            bar = one.barh(place, row["ns_per_io"], height=0.6, **how)
            one.bar_label(bar, [f"slept in {row['slept']} of {row['count']}"], padding=3, fontsize=8)
        labels = [f"{row['engine']}: {row['call']}" for row in rows.to_dict("records")]
        style.rows(one, labels, fontsize=8)
        one.margins(x=0.3)
        style.axis(one, "x", "ns_per_io")
        one.set_title(schema.formatter("cache")(way), loc="left", fontsize=10, color=style.INK)
        one.label_outer()
    return style.finish(parts[0], frame, legend=False)


def _memory(frame: pd.DataFrame, ax: Axes) -> Axes:
    rows = frame[~frame["again"]].reset_index(drop=True) if "again" in frame else frame
    names = [f"{row['engine']}\n{row['filesystem']}" for row in rows.to_dict("records")]
    places = list(dict.fromkeys(rows["filesystem"]))
    for place, row in enumerate(rows.to_dict("records")):
        how = arms.bar(row["engine"], places.index(row["filesystem"]))
        said = f"{schema.si_ns(row['p50_ns'])}; {row['punted']} of {row['ios']} handed to a worker"
        low, high = (row.get(f"{end}_p50_ns", row["p50_ns"]) for end in ("low", "high"))
        reach = [[max(row["p50_ns"] - low, 0)], [max(high - row["p50_ns"], 0)]]
        ax.bar_label(ax.barh(place, row["p50_ns"], height=0.6, xerr=reach, capsize=3, **how), [said], padding=3)
    style.rows(ax, names)
    ax.margins(x=1.0)  # room for the words
    style.axis(ax, "x", "latency_ns")
    return style.finish(ax, frame, title="Reads of 4 KiB that need no disk: the median", legend=False)


def _watched(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Ratios of rates with their intervals, next to 1: what the probes change."""
    rows = watched_ratios(frame)
    for place, row in enumerate(rows.to_dict("records")):
        reach = [[max(row["ratio"] - row["low"], 0)], [max(row["high"] - row["ratio"], 0)]]
        colour = "#000000" if "A/A" in row["comparison"] else "#0072B2"
        ax.errorbar([row["ratio"]], [place], xerr=reach, marker="o", capsize=4, color=colour)
        ax.annotate(
            f"{row['ratio']:.2f}",
            (row["ratio"], place),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=style.INK,
        )
    ax.axvline(1, color=style.INK, linewidth=1, linestyle="--")
    _rows(ax, rows["comparison"])
    ax.set_xlabel("ratio of the rates, with its 95 % interval", color=style.INK)
    ax.margins(x=0.1)
    return style.finish(ax, frame, title="What the probes change", legend=False)


_PICTURES: style.Pictures = {
    "watched": _watched,
    "durable": plot_loads.durable,
    "loop": plot_loads.offered_load,
    "slot": _lanes,
    "ns_per_io": _calls,
    "punted": _memory,
    "p99_ns": _sweep,
    "calls_per_io": _per_io,
}
