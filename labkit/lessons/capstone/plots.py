"""Lesson 10: where a transaction's time goes, one transaction call by call, the calls of a server, shared syncs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from labkit import schema
from labkit.lessons.capstone.calls import NO_FILE, SYNCS
from labkit.notebook.plotting import style

__all__ = ["plot"]

OTHER, OUTSIDE = "other calls", "outside of calls"
# the parts of a transaction's time, each with a look of its own in every picture
_PARTS = ("sync the journal", "sync the folder", "sync the database", "sync the log", "open, close, unlink", OTHER,
          OUTSIDE)  # fmt: skip
_NAMED = 5  # calls of a server with a look of their own; the rest stands together
_LANES = ("database", "journal", "log", "log's index", "folder", NO_FILE)
# what a call does -> the calls; the rest is "asks, locks"
_DEEDS = {
    "sync": SYNCS,
    "write": ("write", "pwrite64", "writev", "ftruncate"),
    "read": ("read", "pread64"),
    "open, close, unlink": ("openat", "close", "unlink", "unlinkat"),
}
_REST = "lock, ask"


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of lesson 10's experiments; its columns tell which of the pictures it wants."""
    ax = style.axes(ax)
    return next(draw for column, draw in _PICTURES.items() if column in frame)(frame, ax)


def _times(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Stack the time of a transaction (of a row, where they are committed together), call upon call."""
    by_row = len({arm["rows_per_transaction"] for arm in frame.attrs["arms"]}) > 1
    unit = "row" if by_row else "transaction"
    named = [_part(*each) for each in zip(frame["call"], frame["file"], strict=True)]
    parts = _stacked(frame, "total_ns", pd.Series(named, index=frame.index), _PARTS)
    for arm in frame.attrs["arms"]:
        name = arm["arm"]
        parts.loc[name, OUTSIDE] = max(1e9 * arm["elapsed_s"] - parts.loc[name].sum(), 0.0)
        parts.loc[name] /= arm["rows" if by_row else "transactions"]
    _bars(parts, ax, schema.si_ns)
    style.axis(ax, "x", "ns_per_transaction")
    ax.set_xlabel(f"time for one {unit}, watched")
    return _below(ax, frame, f"Where the time of a {unit} goes")


def _calls(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Stack the calls that a server makes for one request."""
    names = frame["call"] + frame["file"].map(lambda file: "" if file == NO_FILE else f", {file}")
    largest = frame["count"].groupby(names).sum().nlargest(_NAMED).index
    parts = _stacked(frame, "count", names.where(names.isin(largest), OTHER), [*largest, OTHER])
    for arm in frame.attrs["arms"]:
        parts.loc[arm["arm"]] /= arm["requests"]
    _bars(parts, ax, schema.formatter("calls_per_request"))
    style.axis(ax, "x", "calls_per_request")
    return _below(ax, frame, "System calls for one request")


def _shared(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Syncs a request beside requests a second: bars, and a line from the slowest run to the fastest."""
    left, right = style.split(ax, sharey=True)
    rate = frame["requests_per_s"]
    runs = [rate - frame["slowest_per_s"], frame["fastest_per_s"] - rate]
    for one, column, colour in ((left, "syncs_per_request", 1), (right, "requests_per_s", 0)):
        look: dict[str, Any] = {
            "facecolor": style.COLOURS[colour],
            "hatch": style.HATCHES[colour],
            "edgecolor": "white",
        }
        one.barh(range(len(frame)), frame[column], height=0.6, **look)
        ends = frame[column]
        if column == "requests_per_s":
            one.errorbar(rate, range(len(frame)), xerr=runs, fmt="none", ecolor=style.INK, elinewidth=1.2, capsize=3)
            ends = frame["fastest_per_s"]
        for place, (end, value) in enumerate(zip(ends, frame[column], strict=True)):
            _beside(one, end, place, schema.formatter(column)(value))
        style.axis(one, "x", column)
        one.margins(x=0.3)
    left.set_yticks(range(len(frame)), [arm.replace(", ", ",\n", 1) for arm in frame["arm"]], fontsize=9)
    left.set_ylim(len(frame) - 0.5, -0.5)
    style.finish(right, frame, title="How many it answers", legend=False)
    return style.finish(left, frame, title="How often the file is synced", legend=False)


def _one(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw a transaction as lanes, one for each file; a call is a bar as long as it took, and a mark where it began."""
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
            # no hatching: most bars are too thin for it, and the mark at a bar's beginning tells what it is
            one.barh(places, rows["latency_ns"], left=rows["time_ns"], height=0.7, color=look["color"],
                     label=deed if is_bar and len(rows) else None)  # fmt: skip
            how = {**look, "linestyle": "none", "markersize": 4}
            one.plot(rows["time_ns"], places, label=deed if len(rows) and not is_bar else None, **how)
        one.set_yticks(range(len(lanes)), ["no file" if lane == NO_FILE else lane for lane in lanes], fontsize=9)
        one.set_ylim(len(lanes) - 0.4, -0.6)
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


def _stacked(frame: pd.DataFrame, column: str, names: pd.Series, order: Sequence[str]) -> pd.DataFrame:
    """Return the sums of a column, arms x names, in this order."""
    wide = frame.assign(name=names).pivot_table(index="arm", columns="name", values=column, aggfunc="sum", fill_value=0)
    arms = [arm["arm"] for arm in frame.attrs["arms"]]
    return wide.reindex(index=arms, columns=list(order), fill_value=0).astype(float)


def _bars(parts: pd.DataFrame, ax: Axes, write: Callable[[float], str]) -> None:
    edges = np.column_stack([np.zeros(len(parts)), parts.cumsum(axis=1)])
    for number, (name, how) in enumerate(style.bars(parts.columns).items()):
        if parts[name].any():
            ax.barh(range(len(parts)), parts[name], left=edges[:, number], height=0.6, label=name, **how)
    for place, total in enumerate(edges[:, -1]):
        _beside(ax, total, place, write(total))
    ax.set_yticks(range(len(parts)), list(parts.index))
    ax.set_ylim(len(parts) - 0.5, -0.5)
    ax.margins(x=0.15)


def _beside(ax: Axes, end: float, place: int, text: str) -> None:
    """Write beside the end of a bar."""
    ax.annotate(text, (end, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)


def _below(ax: Axes, frame: pd.DataFrame, title: str) -> Axes:
    return _legend(style.finish(ax, frame, title=title, legend=False))


def _legend(ax: Axes, order: Sequence[str] = ()) -> Axes:
    """Put the legend below the figure: the bars need the width. Names in `order` come first."""
    drawn: Any = ax.get_figure()
    seen = {label: handle for one in drawn.axes for handle, label in zip(*one.get_legend_handles_labels(), strict=True)}
    names = [*(name for name in order if name in seen), *(name for name in seen if name not in order)]
    drawn.legend(
        [seen[name] for name in names],
        names,
        loc="outside lower center",
        ncols=min(len(seen), 4),
        frameon=False,
        fontsize=9,
    )
    return ax


# the first of these columns that a frame has names its picture
_PICTURES: dict[str, Callable[[pd.DataFrame, Axes], Axes]] = {
    "returned": _one,
    "requests_per_s": _shared,
    "calls_per_request": _calls,
    "ns_per_transaction": _times,
}
