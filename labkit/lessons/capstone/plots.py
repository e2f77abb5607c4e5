# SPDX-License-Identifier: Apache-2.0
"""Lesson 10: where a transaction's time goes, one transaction call by call, the calls of a server, shared syncs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from labkit import schema
from labkit.lessons.capstone.arms import call_table, whole_runs
from labkit.lessons.capstone.calls import NO_FILE, SYNCS
from labkit.notebook.plotting import style

__all__ = ["plot"]

OTHER, OUTSIDE = "other calls", "outside of calls"
# the parts of a transaction's time, each with the same look in every picture
_PARTS = (
    "sync the journal",
    "sync the folder",
    "sync the database",
    "sync the log",
    "open, close, unlink",
    OTHER,
    OUTSIDE,
)
_NAMED = 5  # calls of a server with their own look; the rest is one part
_ROWS, _ROW_IN = 6, 0.3  # this many bars fit; each one more needs this much height
_LANES = ("database", "journal", "log", "log's index", "folder", NO_FILE)
# what a call does -> the calls; the rest is "lock, ask"
_DEEDS = {
    "sync": SYNCS,
    "write": ("write", "pwrite64", "writev", "ftruncate"),
    "read": ("read", "pread64"),
    "open, close, unlink": ("openat", "close", "unlink", "unlinkat"),
}
_REST = "lock, ask"


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of lesson 10's experiments; its columns decide which picture it gets."""
    return style.picture(_PICTURES, frame, ax)


def _times(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Stack the time of a transaction (of a row, if they are committed together), call on call; mark it unwatched."""
    by_row = frame["rows_per_transaction"].nunique() > 1
    unit = "row" if by_row else "transaction"
    calls, watched = call_table(frame), _watched(frame)
    named = [_part(*each) for each in zip(calls["call"], calls["file"], strict=True)]
    parts = _stacked(calls, "total_ns", pd.Series(named, index=calls.index), _PARTS, watched)
    parts[OUTSIDE] = (watched["total_ns"] - parts.sum(axis=1)).clip(lower=0)
    parts = parts.div(watched["rows" if by_row else "transactions"], axis=0)
    by_slice = whole_runs(frame).groupby("arm")[f"ns_per_{unit}"]
    low, middle, high = (by_slice.quantile(share).reindex(parts.index) for share in (0.25, 0.5, 0.75))
    _bars(parts, ax, [schema.si_ns(value) for value in middle], high)
    ax.errorbar(
        middle,
        range(len(parts)),
        xerr=[middle - low, high - middle],
        label="unwatched (median, quartiles)",
        fmt="D",
        color=style.INK,
        zorder=5,
        markerfacecolor="white",
        markersize=6,
        capsize=3,
    )
    style.axis(ax, "x", "ns_per_transaction")
    ax.set_xlabel(f"time per {unit}; diamond and number: unwatched")
    return _below(ax, frame, f"Where the time of a {unit} goes")


def _calls(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Stack the calls that a server makes for one request."""
    calls, watched = call_table(frame), _watched(frame)
    names = calls["call"] + calls["file"].map(lambda file: "" if file == NO_FILE else f", {file}")
    largest = calls["count"].groupby(names).sum().nlargest(_NAMED).index
    parts = _stacked(calls, "count", names.where(names.isin(largest), OTHER), [*largest, OTHER], watched)
    parts = parts.div(watched["requests"], axis=0)
    _bars(parts, ax, [schema.formatter("calls_per_request")(total) for total in parts.sum(axis=1)])
    style.axis(ax, "x", "calls_per_request")
    return _below(ax, frame, "System calls for one request")


def _shared(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw syncs per request next to requests per second: bars, and a line for the 95 % interval."""
    left, right = style.split(ax, sharey=True)
    rate = frame["requests_per_s"]
    reach = [rate - frame["low_per_s"], frame["high_per_s"] - rate]
    for one, column, colour in ((left, "syncs_per_request", 1), (right, "requests_per_s", 0)):
        look: dict[str, Any] = {
            "facecolor": style.COLOURS[colour],
            "hatch": style.HATCHES[colour],
            "edgecolor": "white",
        }
        one.barh(range(len(frame)), frame[column], height=0.6, **look)
        ends = frame[column]
        if column == "requests_per_s":
            one.errorbar(rate, range(len(frame)), xerr=reach, fmt="none", ecolor=style.INK, elinewidth=1.2, capsize=3)
            ends = frame["high_per_s"]
        for place, (end, value) in enumerate(zip(ends, frame[column], strict=True)):
            _beside(one, end, place, schema.formatter(column)(value))
        style.axis(one, "x", column)
        one.margins(x=0.3)
    style.grow(left, 1.4 * _ROW_IN * (len(frame) - _ROWS))
    style.rows(left, [arm.replace(" with ", "\nwith ", 1) for arm in frame["arm"]], fontsize=9)
    style.finish(right, frame, title="Answers, unwatched", legend=False)
    return style.finish(left, frame, title="Syncs, watched", legend=False)


def _one(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw a transaction as lanes, one per file; a call is a bar as long as it took, and a mark where it began."""
    arms = list(dict.fromkeys(frame["arm"]))
    marks = style.series([*_DEEDS, _REST])
    end = float((frame["time_ns"] + frame["latency_ns"]).max())
    unit, unit_ns = ("ms", 1e6) if end >= 1e6 else ("µs", 1e3)
    heights = [frame.loc[frame["arm"] == arm, "file"].nunique() for arm in arms]
    grid = style.split(ax, rows=len(arms), columns=1, sharex=True, height_ratios=heights)
    for one, arm in zip(grid, arms, strict=True):
        own = frame[frame["arm"] == arm]
        lanes = [lane for lane in _LANES if lane in set(own["file"])]
        deeds = own["call"].map(_deed)
        for deed, look in marks.items():
            rows = own[deeds == deed]
            places, is_bar = [lanes.index(file) for file in rows["file"]], deed == "sync"
            # no hatching: most bars are too thin for it, and the mark at a bar's beginning says what it is
            one.barh(
                places,
                rows["latency_ns"],
                left=rows["time_ns"],
                height=0.7,
                color=look["color"],
                label=deed if is_bar and len(rows) else None,
            )
            how = {**look, "linestyle": "none", "markersize": 4}
            one.plot(rows["time_ns"], places, label=deed if len(rows) and not is_bar else None, **how)
        style.rows(one, ["no file" if lane == NO_FILE else lane for lane in lanes], fontsize=9, below=0.4, above=0.6)
        one.set_xlim(-0.015 * end, 1.03 * end)
        one.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit_ns:g}"))
        one.set_xlabel(f"time since the transaction began, in {unit}" if arm == arms[-1] else "")
        syncs = int(own["call"].isin(SYNCS).sum())
        style.finish(one, frame, title=f"{arm}: {len(own)} calls, syncs: {syncs}", legend=False)
    return _legend(grid[0], [*_DEEDS, _REST])


def _deed(call: str) -> str:
    return next((deed for deed, calls in _DEEDS.items() if call in calls), _REST)


def _part(call: str, file: str) -> str:
    if call in SYNCS and (name := f"sync the {file}") in _PARTS:
        return name
    return _PARTS[4] if call in _DEEDS[_PARTS[4]] else OTHER


def _watched(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the sums over each arm's watched slices."""
    runs = whole_runs(frame, watched=True).groupby("arm", sort=False)
    return runs[[name for name in ("total_ns", "transactions", "rows", "requests") if name in frame]].sum()


def _stacked(
    frame: pd.DataFrame, column: str, names: pd.Series, order: Sequence[str], watched: pd.DataFrame
) -> pd.DataFrame:
    """Return the sums of a column, arms (those of `watched`) x names, in this order."""
    wide = frame.assign(name=names).pivot_table(index="arm", columns="name", values=column, aggfunc="sum", fill_value=0)
    return wide.reindex(index=watched.index, columns=list(order), fill_value=0).astype(float)


def _bars(parts: pd.DataFrame, ax: Axes, written: Sequence[str], beyond: pd.Series | None = None) -> None:
    """Stack the columns of `parts`, one bar per row, and write next to each bar's end, or further out `beyond` it."""
    style.grow(ax, _ROW_IN * (len(parts) - _ROWS))
    edges = np.column_stack([np.zeros(len(parts)), parts.cumsum(axis=1)])
    for number, (name, how) in enumerate(style.bars(parts.columns).items()):
        if parts[name].any():
            ax.barh(range(len(parts)), parts[name], left=edges[:, number], height=0.6, label=name, **how)
    ends = edges[:, -1] if beyond is None else np.fmax(edges[:, -1], beyond)
    for place, (end, text) in enumerate(zip(ends, written, strict=True)):
        _beside(ax, end, place, text)
    style.rows(ax, parts.index)
    ax.margins(x=0.15)


def _beside(ax: Axes, end: float, place: int, text: str) -> None:
    """Write next to the end of a bar."""
    ax.annotate(text, (end, place), xytext=(7, 0), textcoords="offset points", va="center", fontsize=9)


def _below(ax: Axes, frame: pd.DataFrame, title: str) -> Axes:
    return _legend(style.finish(ax, frame, title=title, legend=False))


def _legend(ax: Axes, order: Sequence[str] = ()) -> Axes:
    """Put the legend below the figure, since the bars need the width. Names in `order` come first."""
    drawn: Any = ax.get_figure()
    seen = {label: handle for one in drawn.axes for handle, label in zip(*one.get_legend_handles_labels(), strict=True)}
    names = [*(name for name in order if name in seen), *(name for name in seen if name not in order)]
    drawn.legend(
        [seen[name] for name in names],
        names,
        loc="outside lower center",
        ncols=min(len(seen), 3),
        frameon=False,
        fontsize=9,
    )
    return ax


_PICTURES: style.Pictures = {
    "returned": _one,
    "syncs_per_request": _shared,
    "calls_per_request": _calls,
    "ns_per_transaction": _times,
}
