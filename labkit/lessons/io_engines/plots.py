"""Lesson 07: latency and throughput by engine, curves over the depth, calls per I/O, lanes in time, who sleeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from labkit import schema
from labkit.lessons.io_engines import plot_arms as arms
from labkit.lessons.io_engines.costs import overlap
from labkit.notebook.plotting import style

__all__ = ["plot"]

MOST_LANES = 16
LONGEST = 12  # times as long as the quickest engine: what takes longer runs out of the picture
ROWS, ROW_IN = (
    5,
    0.3,
)  # as many named rows have room in a figure of the usual height; and what each more needs, in inches
_BESIDE = ((6, -11), (6, 5), (-14, 5), (-14, -11))  # where the depth stands beside its mark, in points


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of `labkit.lessons.io_engines.comparison`; its columns tell which of the pictures it wants."""
    ax = style.axes(ax)
    return next(draw for column, draw in _PICTURES.items() if column in frame)(frame, ax)


def _sweep(frame: pd.DataFrame, ax: Axes) -> Axes:
    if frame.loc[frame["engine"] != "sync", "queue_depth"].nunique() > 1:
        return _curves(frame, ax)
    if frame["block_bytes"].nunique() > 1:
        return _sizes(frame, ax)
    return _arms(frame, ax)


def _whiskers(ax: Axes, rows: pd.DataFrame, x: pd.Series, name: str, how: dict[str, Any]) -> None:
    """Draw medians with bars from quartile to quartile, and above each, on a thin line, the 99th percentile."""
    reach = [rows["p50_ns"] - rows["p25_ns"], rows["p75_ns"] - rows["p50_ns"]]
    ax.errorbar(x, rows["p50_ns"], yerr=reach, label=name, capsize=3, **how)
    ax.vlines(x, rows["p75_ns"], rows["p99_ns"], color=how["color"], linewidth=0.6, alpha=0.5)
    ax.plot(x, rows["p99_ns"], color=how["color"], marker="_", markersize=10, linestyle="none")


def _sizes(frame: pd.DataFrame, ax: Axes) -> Axes:
    left, right = style.split(ax)
    names = arms.names(frame, "block_bytes")
    for name, how in arms.series(frame, "block_bytes").items():
        rows = frame[names == name].sort_values("block_bytes")
        _whiskers(left, rows, rows["block_bytes"], name, how)
        right.plot(rows["block_bytes"], rows["bytes_per_s"], label=name, **how)
    for one, column, base in ((left, "latency_ns", 10), (right, "bytes_per_s", 2)):
        style.axis(one, "x", "block_bytes", log=2, ticks=frame["block_bytes"])
        style.axis(one, "y", column, log=base)
    style.legend_below(left)
    style.finish(right, frame, title="Throughput", legend=False)
    return style.finish(left, frame, title="Median, quartiles; dash: p99", legend=False)


def _curves(frame: pd.DataFrame, ax: Axes) -> Axes:
    """One line an engine, a mark a depth: how much more throughput for how much more latency."""
    names = arms.names(frame, "queue_depth")
    for number, (name, how) in enumerate(arms.series(frame, "queue_depth").items()):
        rows = frame[names == name].sort_values("queue_depth")
        _whiskers(ax, rows, rows["ios_per_s"], name, how)
        for row in rows.to_dict("records"):
            ax.annotate(str(row["queue_depth"]), (row["ios_per_s"], row["p50_ns"]), xytext=_BESIDE[number % 4],
                        textcoords="offset points", fontsize=8, color=how["color"])  # fmt: skip
    style.axis(ax, "x", "ios_per_s")
    ax.set_xlim(left=0)
    ax.margins(y=0.12)  # room for the depths below their marks
    style.axis(ax, "y", "latency_ns", log=10)
    ax.set_ylabel("latency (dash: p99)", color=style.INK)
    style.legend_below(ax)
    return style.finish(ax, frame, title="Each mark is a queue depth", legend=False)


def _arms(frame: pd.DataFrame, ax: Axes) -> Axes:
    left, right = style.split(ax, sharey=True)
    names = arms.names(frame)
    looks = arms.series(frame)
    for place, (name, row) in enumerate(zip(names, frame.to_dict("records"), strict=True)):
        reach = [[row["p50_ns"] - row["p25_ns"]], [row["p75_ns"] - row["p50_ns"]]]
        left.errorbar([row["p50_ns"]], [place], xerr=reach, capsize=3, **looks[name])
        left.plot([row["p99_ns"]], [place], color=looks[name]["color"], marker="|", markersize=12)
    for place, (how, value) in enumerate(zip(arms.bars(frame), frame["ios_per_s"], strict=True)):
        right.bar_label(right.barh(place, value, height=0.5, **how), [f"{schema.si_count(value)}/s"], padding=3)
    _rows(left, names)
    style.axis(left, "x", "latency_ns", log=10)
    style.axis(right, "x", "ios_per_s")
    right.margins(x=0.35)
    style.finish(right, frame, title="I/Os a second", legend=False)
    return style.finish(left, frame, title="Median, quartiles; stroke: p99", legend=False)


def _rows(ax: Axes, names: Sequence[str] | pd.Series) -> None:
    """Name the rows, from the top; each has room, however many there are."""
    ax.set_yticks(range(len(names)), list(names))
    ax.set_ylim(len(names) - 0.5, -0.5)
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
    """One row a slot; each bar is an I/O from the moment it is handed over until its end is known."""
    engines = list(dict.fromkeys(frame["engine"]))
    most = overlap(frame).set_index("engine")["most"]
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
        said = f"at most {most[engine]} under way at once; all done at {schema.si_ns(ended[engine])}"
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
        one.set_yticks(range(len(rows)), labels, fontsize=8)
        one.set_ylim(len(rows) - 0.5, -0.5)
        one.margins(x=0.3)
        style.axis(one, "x", "ns_per_io")
        one.set_title(schema.formatter("cache")(way), loc="left", fontsize=10, color=style.INK)
        one.label_outer()
    return style.finish(parts[0], frame, legend=False)


def _memory(frame: pd.DataFrame, ax: Axes) -> Axes:
    names = [f"{row['engine']}\n{row['filesystem']}" for row in frame.to_dict("records")]
    places = list(dict.fromkeys(frame["filesystem"]))
    for place, row in enumerate(frame.to_dict("records")):
        how = arms.bar(row["engine"], places.index(row["filesystem"]))
        said = f"{schema.si_ns(row['p50_ns'])}; {row['punted']} of {row['ios']} given to a worker"
        ax.bar_label(ax.barh(place, row["p50_ns"], height=0.6, **how), [said], padding=3)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.margins(x=1.0)  # room for the words
    style.axis(ax, "x", "latency_ns")
    return style.finish(ax, frame, title="Reads of 4 KiB that need no disk: the median", legend=False)


# the first of these columns that a frame has names its picture
_PICTURES: dict[str, Callable[[pd.DataFrame, Axes], Axes]] = {
    "slot": _lanes,
    "ns_per_io": _calls,
    "punted": _memory,
    "p99_ns": _sweep,
    "calls_per_io": _per_io,
}
