# SPDX-License-Identifier: Apache-2.0
"""Lesson 11: requests per second by connections, ratios, calls per request, latencies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from labkit import schema
from labkit.lessons.serve.open_loop import OPEN
from labkit.lessons.serve.runs import CALLS, WAYS
from labkit.lessons.serve.sharing import SHARES
from labkit.notebook.plotting import style

__all__ = ["plot"]

_AGAIN = " (again)"
LATENCY_BARS = 60


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of lesson 11's experiments; its columns decide which picture it gets."""
    return style.picture(_PICTURES, frame, ax)


def _looks(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return how each way of a frame is drawn: a way looks the same in every picture."""
    every = style.series([*WAYS, "again"])
    arms = sorted(dict.fromkeys(frame["arm"]), key=lambda arm: ([*WAYS, "again"].index(_name(arm)), arm))
    return {arm: every[_name(arm)] for arm in arms}


def _name(arm: str) -> str:
    return "again" if arm.endswith(_AGAIN) else arm


def _rates(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the median of the slices, with quartiles: the rate, and the server's CPU time per request."""
    by = "message_bytes" if frame["message_bytes"].nunique() > 1 else "connections"
    left, right = style.split(ax, columns=2)
    for one, column in ((left, "requests_per_s"), (right, "cpu_ns_per_request")):
        for arm, how in _looks(frame).items():
            if arm.endswith(_AGAIN):
                continue
            groups = frame[frame["arm"] == arm].groupby(by)[column]
            low, middle, high = (groups.quantile(share) for share in (0.25, 0.5, 0.75))
            one.errorbar(middle.index, middle, yerr=[middle - low, high - middle], label=arm, capsize=3, **how)
        style.axis(one, "x", by, log=2, ticks=frame[by])
        style.axis(one, "y", column, log=10)
        one.set_title(schema.label(column), loc="left", fontsize=10, color=style.INK)
        one.set_ylabel("")
    style.finish(left, frame)
    return style.finish(right, frame, legend=False)


def _ratios(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw each ratio with its interval, one row per setting and way."""
    looks, names = _looks(frame), []
    for place, row in enumerate(frame.to_dict("records")):
        reach = [[row["ratio"] - row["low"]], [row["high"] - row["ratio"]]]
        how = {**looks[row["arm"]], "linestyle": "none"}
        ax.errorbar([row["ratio"]], [place], xerr=reach, capsize=3, **how)
        names.append(f"{row['connections']} × {schema.si_bytes(row['message_bytes'])}: {row['arm']}")
    ax.axvline(1.0, color=style.INK, linewidth=1)
    style.rows(ax, names, fontsize=8)
    style.ratio_axis(ax)
    ax.set_xlabel(f"compared with {frame.attrs.get('baseline', 'the baseline')}, 95 % interval")
    style.grow(ax, 0.2 * (len(names) - 12))
    return style.finish(ax, frame, title="On the line: no difference", legend=False)


def _calls(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the calls per request, by kind, one bar per way and number of connections."""
    made = frame[frame["event"].isin(CALLS)]
    jobs = list(dict.fromkeys(zip(made["connections"], made["arm"], strict=True)))
    left = [0.0] * len(jobs)
    for call, how in style.bars(CALLS).items():
        rows = made[made["event"] == call].set_index(["connections", "arm"])
        if rows.empty:
            continue
        widths = [
            float(rows["count"].get(job, 0)) / float(rows["requests"].get(job, 1)) if job in rows.index else 0.0
            for job in jobs
        ]
        ax.barh(range(len(jobs)), widths, left=left, height=0.7, label=call, **how)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, total in enumerate(left):
        ax.text(total, place, f" {total:.2f}", va="center", fontsize=8, color=style.INK)
    style.rows(ax, [f"{connections} conn.: {arm}" for connections, arm in jobs], fontsize=8)
    style.axis(ax, "x", "calls_per_request")
    ax.margins(x=0.15)
    style.legend_below(ax)
    return style.finish(ax, frame, title="System calls of the server per request, counted in the kernel", legend=False)


def _offered(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the rate that was answered, and both p99s, against the rate that was offered."""
    opened = frame[frame["loop"] == "open"].sort_values("offered_requests_per_s")
    across = opened["offered_requests_per_s"]
    left, right = style.split(ax, columns=2)
    due, sent, closed = style.series(["from when it was due", "from when it was sent", "closed loop"]).values()
    left.plot(across, opened["requests_per_s"], label="answered", **due)
    left.plot(across, across, color=style.INK, linewidth=1, linestyle=":", label="offered")
    for column, label, look in (
        ("p99_ns", "from when it was due", due),
        ("service_p99_ns", "from when it was sent", sent),
    ):
        right.errorbar(across, opened[column], yerr=style.reach(opened, column), capsize=3, label=label, **look)
    first = frame[frame["loop"] == "closed"].iloc[0]
    if first["p99_ns"] > 0:  # not with fewer than 1000 requests
        right.plot([first["requests_per_s"]], [first["p99_ns"]], label="closed loop", **{**closed, "linestyle": "none"})
    nothing = frame["p99_ns"].isna().all()
    if nothing:
        said = "Too few requests for a p99:\ntake longer slices."
        right.text(0.5, 0.5, said, ha="center", va="center", transform=right.transAxes, color=style.INK)
        right.set_xlim(left.get_xlim())
    for one in (left, right):
        style.axis(one, "x", "offered_requests_per_s")
    style.axis(left, "y", "requests_per_s")
    style.axis(right, "y", "p99_ns", log=10)
    if nothing:
        right.set_yticks([])  # no times, not some around 0 ns
    style.finish(left, frame, title="Answered")
    style.legend_below(right)  # inside it would hide marks
    return style.finish(right, frame, title="99th percentile, by where the clock starts", legend=False)


def _latencies(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw each histogram as the share of requests per bar, and as the share that took longer than each latency."""
    left, right = style.split(ax, columns=2)
    low, high = frame["latency_ns"].min(), frame["latency_ns"].max()
    edges = 10 ** np.linspace(np.log10(max(low, 1) * 0.9), np.log10(high * 1.1), LATENCY_BARS + 1)
    frame = frame.assign(name=_histogram_names(frame))
    for name, how in style.series(frame["name"]).items():
        rows = frame[frame["name"] == name].sort_values("latency_ns")
        drawn = {"color": how["color"], "linestyle": how["linestyle"], "linewidth": how["linewidth"]}
        heights, _ = np.histogram(rows["latency_ns"], edges, weights=rows["count"] / rows["count"].sum())
        left.stairs(heights, edges, label=name, **drawn)
        longer = 1 - rows["count"].cumsum() / rows["count"].sum()
        right.step(rows["latency_ns"], longer.where(longer > 0), where="post", label=name, **drawn)
    right.axhline(0.01, color=style.INK, linewidth=1, linestyle=":")
    right.text(0.02, 0.0115, "1%: the p99", fontsize=8, color=style.INK, transform=right.get_yaxis_transform())
    for one in (left, right):
        style.axis(one, "x", "latency_ns", log=10)
        one.set_xlim(edges[0], edges[-1])
    style.axis(left, "y", "share")
    left.set_ylabel("share of the requests, per bar")
    style.axis(right, "y", "share", log=10)
    right.set_ylabel("share that took longer")
    right.set_ylim(0.0005, 1.3)
    for one in (left, right):
        one.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    style.finish(left, frame, title="Requests by their latency", legend=False)
    style.legend_below(left)
    return style.finish(right, frame, title="Requests that took longer", legend=False)


def _histogram_names(frame: pd.DataFrame) -> pd.Series:
    """Return in words which histogram each row of `serve.latencies` belongs to."""
    opened = frame["share"].map(lambda share: f"open at {share:.0%}, from when ") + frame["clock"]
    names = opened.where(frame["loop"] == OPEN, "closed")
    return names if frame["arm"].nunique() == 1 else frame["arm"] + ": " + names


def _per_way(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw one bar per way, as another load generator has it."""
    drawn = ax.barh(range(len(frame)), frame["requests_per_s"], height=0.6, **style.bars(["wrk"])["wrk"])
    ax.bar_label(drawn, [schema.si_count(value) for value in frame["requests_per_s"]], padding=4, fontsize=8)
    style.rows(ax, frame["arm"])
    style.axis(ax, "x", "requests_per_s")
    ax.margins(x=0.12)
    return style.finish(ax, frame, title="The same servers, asked by wrk", legend=False)


def _herd(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the wake-ups of all threads, and their CPU time, for one connection, against the number of threads."""
    left, right = style.split(ax, columns=2)
    for one, column in ((left, "wakeups_per_connection"), (right, "cpu_ns_per_connection")):
        for arm, how in style.series(SHARES).items():
            rows = frame[frame["arm"] == arm].sort_values("threads")
            if len(rows):
                one.plot(rows["threads"], rows[column], label=arm, **how)
        style.axis(one, "x", "threads", log=2, ticks=frame["threads"])
        style.axis(one, "y", column)
        one.set_ylim(bottom=0)
        one.set_title(schema.label(column), loc="left", fontsize=10, color=style.INK)
        one.set_ylabel("")
    style.finish(left, frame)
    return style.finish(right, frame, legend=False)


_PICTURES: style.Pictures = {
    "clock": _latencies,
    "loop": _offered,
    "ratio": _ratios,
    "event": _calls,
    "generator": _per_way,
    "wakeups_per_connection": _herd,
    "own_calls_per_request": _rates,
}
