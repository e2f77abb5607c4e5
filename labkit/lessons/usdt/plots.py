# SPDX-License-Identifier: Apache-2.0
"""Lesson 05: when probes fire, histograms, what listening costs, calls of Python functions as they nest."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from labkit import schema
from labkit.notebook.plotting import style
from labkit.stats import trial

__all__ = ["plot"]

MOST_CALLS = 400  # bars of a nested picture; more than that cannot be distinguished
_OUTLIER = 10  # times the median
_WIDE_SHARE = 0.07  # of the picture: a bar that has room for its name


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of `labkit.lessons.usdt.requests` but `probes` and `live_code`; its columns decide which."""
    return style.picture(_PICTURES, frame, ax)


def _requests(frame: pd.DataFrame, ax: Axes) -> Axes:
    """The latency of each request, or a row of marks for each probe where there is no latency."""
    done = frame[frame["probe"] == "request_done"].astype({"latency_ns": "int64", "status": "int64"})
    since = frame["time_ns"] - frame["time_ns"].min()
    if done.empty:
        rows = {name: row for row, name in enumerate(dict.fromkeys(frame["probe"]))}
        for name, how in style.series(rows).items():
            ax.plot(since[frame["probe"] == name], [rows[name]] * int((frame["probe"] == name).sum()), **_dots(how))
        style.rows(ax, rows)
        title = "Each mark: a probe fires"
    else:
        kinds = done["status"].map(lambda status: "failed" if status < 0 else "served")
        for name, how in style.series(["served", "failed"]).items():
            ax.plot(since[done.index][kinds == name], done["latency_ns"][kinds == name], label=name, **_dots(how))
        if frame.attrs.get("work_ns"):  # a logarithmic axis has no place for 0
            ax.axhline(frame.attrs["work_ns"], color=style.INK, linestyle="--", linewidth=1, label="the work you set")
        longest = done["latency_ns"].max()
        outlier = longest > _OUTLIER * done["latency_ns"].median() > 0  # would press the rest against the axis
        style.axis(ax, "y", "latency_ns", log=10 if outlier else None)
        ax.set_ylim(done["latency_ns"].min() / 3 if outlier else 0, (3 if outlier else 1.4) * longest)
        title = "The latency of each request, as request_done reports it"
    style.axis(ax, "x", "time_ns")
    ax.set_xlabel("time since the first record")
    return style.finish(ax, frame, title=title)


def _throws(frame: pd.DataFrame, ax: Axes) -> Axes:
    counted = frame.groupby(["exception", "probe"]).size().unstack(fill_value=0)
    style.side_by_side(ax, counted, {name: name for name in ("throw", "catch", "rethrow") if name in counted})
    ax.set_xticks(range(len(counted)), [name.rpartition("(anonymous namespace)::")[2] for name in counted.index])
    style.axis(ax, "y", "count")
    ax.set_ylim(0, 1.2 * counted.to_numpy().max())
    return style.finish(ax, frame, title="Exceptions, reported by the C++ library's own probes")


def _histogram(frame: pd.DataFrame, ax: Axes) -> Axes:
    for (column, label), how in zip(
        {"count": "eBPF", "fired": "the program itself"}.items(), style.series("ab").values(), strict=True
    ):
        ax.plot(frame["latency_ns"], frame[column], label=label, **{**how, "markersize": 7 if column == "count" else 3})
    style.axis(ax, "x", "latency_ns", log=10)
    style.axis(ax, "y", "count")
    ax.set_yscale("log")
    return style.finish(ax, frame, title="Latencies, counted in the kernel and by the program")


def _semaphore(frame: pd.DataFrame, ax: Axes) -> Axes:
    below, above = style.reach(frame, "p50_ns")
    rows = frame.to_dict("records")
    for place, (row, how) in enumerate(zip(rows, style.bars(frame["arm"]).values(), strict=True)):
        reach = [[below.iloc[place]], [above.iloc[place]]]
        drawn = ax.barh(place, row["p50_ns"], height=0.6, xerr=reach, capsize=3, **how)
        text = f"{schema.si_ns(row['p50_ns'])}; prepared {row['fired']} times in {row['requests']} requests"
        ax.bar_label(drawn, [text], padding=6)
    style.rows(ax, frame["arm"])
    style.axis(ax, "x", "p50_ns", log=10)
    ax.set_xlabel("median latency of a request, with its 95 % interval")
    ax.set_xlim(right=1000 * frame["p50_ns"].max())
    title = "The expensive text is prepared only for a listener"
    return style.finish(ax, frame, title=title, legend=False)


def _processes(frame: pd.DataFrame, ax: Axes) -> Axes:
    style.side_by_side(ax, frame, {"fired": "the program's own count", "count": "what eBPF counted"})
    ax.set_xticks(
        range(len(frame)), [f"process {pid}\n{phase}" for pid, phase in zip(frame["pid"], frame["phase"], strict=True)]
    )
    style.axis(ax, "y", "count")
    ax.set_ylim(0, 1.5 * frame["fired"].max())
    return style.finish(ax, frame, title="One program, several processes")


def _cost(frame: pd.DataFrame, ax: Axes) -> Axes:
    arms = sorted(dict.fromkeys(frame["arm"]), key=lambda arm: float(frame.loc[frame["arm"] == arm, "value"].median()))
    added = trial.differences(frame).set_index("arm")["difference"]
    for place, (arm, how) in enumerate(style.series(arms).items()):
        values = frame.loc[frame["arm"] == arm, "value"]
        ax.plot(values, [place] * len(values), **_dots(how))
        ax.plot([values.median()] * 2, [place - 0.3, place + 0.3], color=how["color"], linewidth=2)
        if arm in added and abs(added[arm]) >= 1:
            ax.annotate(f"+{added[arm]:.0f} ns", (values.max(), place), (8, -4), textcoords="offset points", fontsize=9)
    style.rows(ax, arms)
    style.axis(ax, "x", "latency_ns", log=10)
    ax.set_xlabel("time of one turn of the loop (marks: slices, lines: medians)")
    ax.set_xlim(right=4 * frame["value"].max())
    return style.finish(ax, frame, title="What a probe costs", legend=False)


def _nested(frame: pd.DataFrame, ax: Axes) -> Axes:
    shown = frame.nlargest(MOST_CALLS, "latency_ns")
    start, end = frame["time_ns"].min(), (frame["time_ns"] + frame["latency_ns"]).max()
    busiest = list(frame["function"].value_counts().index[:6])
    looks = style.bars([*busiest, "others"])
    for name, how in looks.items():
        calls = shown[shown["function"] == name] if name != "others" else shown[~shown["function"].isin(busiest)]
        if len(calls):
            left = calls["time_ns"] - start
            ax.barh(calls["depth"], calls["latency_ns"], left=left, height=0.9, label=name, **{**how, "linewidth": 0.4})
    for call in shown[shown["latency_ns"] > _WIDE_SHARE * (end - start)].itertuples():
        middle = call.time_ns - start + call.latency_ns / 2
        backing = {"facecolor": "white", "linewidth": 0, "pad": 1}
        ax.text(middle, call.depth, call.function, ha="center", va="center", fontsize=8, bbox=backing, clip_on=True)
    style.axis(ax, "x", "time_ns")
    ax.set_xlabel("time since the first call")
    style.axis(ax, "y", "depth")
    ax.invert_yaxis()
    hidden = len(frame) - len(shown)
    more = f" ({hidden} shorter ones not drawn)" if hidden else ""
    style.finish(ax, frame, title=f"Which function called which, and how long each call took{more}", legend=False)
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def _collector(frame: pd.DataFrame, ax: Axes) -> Axes:
    since = frame["time_ns"] - frame["time_ns"].min()
    for generation, how in style.series(sorted(frame["generation"].unique())).items():
        rows = frame["generation"] == generation
        ax.plot(since[rows], frame["latency_ns"][rows], label=f"generation {generation}", **_dots(how))
    style.axis(ax, "x", "time_ns")
    ax.set_xlabel("time since the first collection")
    style.axis(ax, "y", "latency_ns", log=10)
    ax.set_ylabel("pause of the program")
    return style.finish(ax, frame, title="Each pass of Python's garbage collector")


def _dots(how: dict[str, Any]) -> dict[str, Any]:
    return {**how, "linestyle": "none"}


_PICTURES: style.Pictures = {
    "exception": _throws,
    "request": _requests,
    "depth": _nested,
    "generation": _collector,
    "requests": _semaphore,
    "arm": _cost,
    "instruction": _processes,
    "fired": _histogram,
}
