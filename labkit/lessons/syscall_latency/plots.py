# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: a histogram, a sweep over block sizes, a heat map, the stack of stages, witnesses, what watching costs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from labkit import schema
from labkit.lessons.syscall_latency.io_stages import STAGES, breakdown, middle_half
from labkit.lessons.syscall_latency.latencies import HEAT_WIDTH
from labkit.lessons.syscall_latency.watching_cost import CALL_HOOKS, RAW_HOOKS, STRACE, TIMER
from labkit.lessons.syscall_latency.watching_cost import STAGES as STAGES_ARM
from labkit.notebook.plotting import style
from labkit.stats.histogram import bucket_low, bucket_of

__all__ = ["plot"]

_WATCHERS = (TIMER, STAGES_ARM, STRACE, CALL_HOOKS, RAW_HOOKS)  # from the top, below the baseline


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of lesson 06; its columns say which picture it gets."""
    return style.picture(_PICTURES, frame, ax)


def _histogram(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Bars of 16 per octave: the buckets of the timer are finer than a picture can show."""
    low, high = frame["latency_ns"].min(), frame["latency_ns"].max() + 1
    edges = 2 ** (np.arange(np.floor(np.log2(max(low, 1)) * 16), np.ceil(np.log2(high) * 16) + 1) / 16)
    (how,) = style.bars(["calls"]).values()
    ax.hist(frame["latency_ns"], bins=edges.tolist(), weights=frame["count"], **{**how, "edgecolor": how["facecolor"]})
    style.axis(ax, "x", "latency_ns", log=2)
    ax.set_xlabel(f"{schema.label('latency_ns')} (each grid line is twice the one before)")
    style.axis(ax, "y", "count")
    ax.set_ylabel("system calls")
    return style.finish(ax, frame, title=f"{frame['count'].sum()} system calls, by how long they took")


def _sweep(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Lines through the medians, bars from quartile to quartile, a dash at the 99th percentile."""
    names = _arm_names(frame)
    for name, how in style.series(names).items():
        rows = frame[names == name].sort_values("block_bytes")
        x, middle = rows["block_bytes"], rows["p50_ns"]
        reach = [middle - rows["p25_ns"], rows["p75_ns"] - middle]
        ax.errorbar(x, middle, yerr=reach, label=name, capsize=3, **how)
        ax.plot(x, rows["p99_ns"], color=how["color"], marker="_", markersize=10, linestyle="none")
    style.axis(ax, "x", "block_bytes", log=2, ticks=frame["block_bytes"])
    style.axis(ax, "y", "latency_ns", log=10)
    style.legend_below(ax)
    title = "Medians, with bars from quartile to quartile; the dash is the 99th percentile"
    return style.finish(ax, frame, title=title, legend=False)


def _arm_names(frame: pd.DataFrame) -> pd.Series:
    """Return which line each row is on: the way to the file, and what else differs between rows."""
    names = frame["cache"].map(schema.formatter("cache"))
    if frame["operation"].nunique() > 1:
        names = frame["operation"] + ", " + names
    if "run" in frame and frame["run"].nunique() > 1:
        names = names + ", run " + frame["run"].astype(str)
    return names


def _heat_map(frame: pd.DataFrame, ax: Axes) -> Axes:
    """One column per slice of time, one row per bucket of latency; the darker, the more calls.

    The rows have the buckets' own edges: 8 per octave, of equal width within an octave.
    """
    slice_s = float(frame["slice_s"].iloc[0])
    columns = (frame["elapsed_s"] / slice_s).round().astype(int)
    buckets = bucket_of(frame["latency_ns"]) // HEAT_WIDTH
    lowest = buckets.min()
    counts = np.zeros((buckets.max() - lowest + 1, columns.max() + 1))
    counts[buckets - lowest, columns] = frame["count"]
    times = np.arange(columns.max() + 2) * slice_s
    latencies = np.maximum(bucket_low(np.arange(lowest, buckets.max() + 2) * HEAT_WIDTH), 0.5)  # a log axis has no 0
    shade = ax.pcolormesh(times, latencies, np.ma.masked_equal(counts, 0), norm=LogNorm(), cmap="viridis_r")
    bar = ax.get_figure().colorbar(shade, ax=ax, pad=0.01)  # type: ignore[union-attr]
    bar.set_label("system calls", color=style.INK)
    at_work = frame.loc[frame["neighbour"] == "at work", "elapsed_s"]
    moments = [] if at_work.empty else [at_work.min(), at_work.max() + slice_s]
    for moment, word in zip(moments, ("neighbour starts", "neighbour stops"), strict=False):
        ax.axvline(moment, color=style.INK, linestyle="--", linewidth=1)
        ax.annotate(
            word,
            (moment, 0.97),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            fontsize=9,
            textcoords="offset points",
            va="top",
            color=style.INK,
        )
    style.axis(ax, "x", "elapsed_s")
    style.axis(ax, "y", "latency_ns", log=10)
    title = f"Each column is {1000 * slice_s:.0f} ms: how long its calls took"
    return style.finish(ax, frame, title=title, legend=False)


def _stages(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Stacked bars: the middle half of each setting, or each I/O where the program's own measure is not known."""
    if "program_ns" not in frame:
        return _each_io(frame, ax)
    parts = breakdown(frame)
    settings = list(dict.fromkeys(zip(parts["cache"], parts["block_bytes"], strict=True)))
    names = [f"{schema.si_bytes(size)}\n{schema.formatter('cache')(cache)}" for cache, size in settings]
    table = parts.pivot(index=["cache", "block_bytes"], columns="stage", values="mean_ns").loc[settings]
    edges = np.column_stack([np.zeros(len(table)), table[list(STAGES)].cumsum(axis=1)])
    for (stage, how), (left, right) in zip(style.bars(STAGES).items(), pairwise(edges.T), strict=True):
        ax.barh(range(len(names)), right - left, left=left, height=0.55, label=schema.label(stage), **how)
    for place, (cache, size) in enumerate(settings):
        of_it = frame[(frame["cache"] == cache) & (frame["block_bytes"] == size)]
        total = float(middle_half(of_it)["program_ns"].mean())
        ax.plot([total] * 2, [place - 0.36, place + 0.36], color=style.INK, linewidth=2)
        ax.annotate(schema.si_ns(total), (total, place), xytext=(4, 0), textcoords="offset points", va="center")
    style.rows(ax, names, below=0.4, above=0.6)
    ax.margins(x=0.12)
    style.axis(ax, "x", "latency_ns")
    ax.set_xlabel("mean over the middle half of the I/Os; the black line is what the program measured")
    style.finish(ax, frame, title="Where the time of one I/O goes", legend=False)
    ax.get_figure().legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)  # type: ignore[union-attr]
    return ax


def _each_io(frame: pd.DataFrame, ax: Axes) -> Axes:
    bottom = np.zeros(len(frame))
    for stage, how in style.bars(STAGES).items():
        ax.bar(range(len(frame)), frame[stage], bottom=bottom, width=1.0, label=schema.label(stage), **how)
        bottom += frame[stage].to_numpy()
    style.axis(ax, "y", "latency_ns")
    ax.set_xlabel("number of the read")
    return style.finish(ax, frame, title="Each bar is one read")


def _witnesses(frame: pd.DataFrame, ax: Axes) -> Axes:
    for place, (how, row) in enumerate(
        zip(style.bars(frame["witness"]).values(), frame.to_dict("records"), strict=True)
    ):
        bar = ax.barh(place, row["mean_ns"], height=0.6, **how)
        ax.bar_label(bar, [f"{schema.si_ns(row['mean_ns'])}, {row['count']} calls"], padding=3)
    style.rows(ax, frame["witness"])
    ax.margins(x=0.35)
    style.axis(ax, "x", "mean_ns")
    return style.finish(ax, frame, title="Mean time of one read, by witness", legend=False)


def _cost(frame: pd.DataFrame, ax: Axes) -> Axes:
    arms = sorted(frame["arm"].unique(), key=lambda arm: _WATCHERS.index(arm) if arm in _WATCHERS else -1)
    medians = frame.groupby("arm")["ns_per_call"].median().loc[arms]
    looks = style.series([*_WATCHERS, *arms])  # the same watcher has the same colour in every picture
    for place, arm in enumerate(arms):
        how = looks[arm]
        values = frame.loc[frame["arm"] == arm, "ns_per_call"]
        ax.plot(values, [place] * len(values), **{**how, "linestyle": "none"})
        ax.plot([medians[arm]] * 2, [place - 0.3, place + 0.3], color=how["color"], linewidth=2)
        ax.annotate(schema.si_ns(medians[arm]), (medians[arm], place - 0.34), ha="center", va="bottom", fontsize=9)
    style.rows(ax, [arm.replace(", ", ",\n") for arm in medians.index], below=0.4, above=0.8)
    style.axis(ax, "x", "ns_per_call", log=10 if STRACE in arms else None)
    title = "One getppid() of a process that is not watched"
    if "block_bytes" in frame:
        way = schema.formatter("cache")(frame["cache"].iloc[0])
        title = f"One {schema.si_bytes(frame['block_bytes'].iloc[0])} read, {way}"
    return style.finish(ax, frame, title=f"{title}: each slice, and the median", legend=False)


_PICTURES: style.Pictures = {
    "device_ns": _stages,
    "elapsed_s": _heat_map,
    "witness": _witnesses,
    "ns_per_call": _cost,
    "p99_ns": _sweep,
    "count": _histogram,
}
