# SPDX-License-Identifier: Apache-2.0
"""Lesson 09: round trips and throughput by message size, ratios, where messages went, Redis, the live switch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from labkit import schema
from labkit.notebook.plotting import style

__all__ = ["plot", "plot_path"]

_AGAIN = " (again)"
_ARMS = ["TCP", "TCP + sockmap", "Unix socket", f"TCP + sockmap{_AGAIN}"]  # each looks the same in every picture


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of lesson 09's experiments; its columns decide which picture it gets."""
    return style.picture(_PICTURES, frame, ax)


def _ratios(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw each ratio with its interval; each setting has its arms, the last of them is the A/A arm."""
    settings = list(dict.fromkeys(_settings(frame)))
    arms = _looks(style.series, frame)
    step = 0.8 / len(arms)
    for number, (arm, how) in enumerate(arms.items()):
        rows = frame[frame["arm"] == arm]
        places = [settings.index(name) - 0.4 + step * (number + 0.5) for name in _settings(rows)]
        reach = [rows["ratio"] - rows["low"], rows["high"] - rows["ratio"]]
        ax.errorbar(rows["ratio"], places, xerr=reach, label=arm, capsize=3, **{**how, "linestyle": "none"})
    ax.axvline(1.0, color=style.INK, linewidth=1)
    style.rows(ax, settings)
    style.ratio_axis(ax)
    ax.set_xlabel(f"times as fast as {frame.attrs.get('baseline', 'the baseline')}, with 95 % interval")
    style.grow(ax, 0.4 * (len(settings) - 4))
    style.legend_below(ax)
    return style.finish(ax, frame, title="Left of the line: slower than the shortcut; right: faster", legend=False)


def _live(frame: pd.DataFrame, ax: Axes) -> Axes:
    for arm, how in _looks(style.series, frame).items():
        rows = frame[frame["arm"] == arm]
        ax.plot(rows["elapsed_s"], rows["p50_ns"], label=f"{arm}: median", **{**how, "linestyle": "none"})
        ax.vlines(
            rows["elapsed_s"], rows["p50_ns"], rows["p99_ns"].fillna(rows["p50_ns"]), colors=how["color"], linewidth=1
        )
    style.axis(ax, "x", "elapsed_s")
    style.axis(ax, "y", "rtt_ns")
    ax.set_ylabel("round trip", color=style.INK)
    top = 3 * frame["p50_ns"].max()
    ax.set_ylim(0, top)
    title = "Each mark is one window; the line reaches its 99th percentile"
    if cut := int((frame["p99_ns"] > top).sum()):
        title += f"\n({cut} of {len(frame)} lines are longer than the picture)"
    return style.finish(ax, frame, title=title)


def _by_size(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw medians of slices with quartiles against message size, one pinning next to the other."""
    column = "bytes_per_s" if "bytes_per_s" in frame else "p50_ns"
    places = list(dict.fromkeys(frame["pinning"]))
    arms = _looks(style.series, frame, again=False)
    for one, place in zip(style.split(ax, columns=len(places), sharey=True), places, strict=True):
        for arm, how in arms.items():
            rows = frame[(frame["pinning"] == place) & (frame["arm"] == arm)]
            middle, reach = _quartiles(rows[column], rows["message_bytes"])
            one.errorbar(middle.index, middle, yerr=reach, label=arm, capsize=3, **how)
        style.axis(one, "x", "message_bytes", log=2, ticks=frame["message_bytes"])
        style.axis(one, "y", column, log=2 if column == "bytes_per_s" else 10)
        one.set_ylabel(("median round trip" if column == "p50_ns" else schema.label(column)) * (place == places[0]))
        style.finish(one, frame, title=place, legend=place == places[0])
    return one


def _requests(frame: pd.DataFrame, ax: Axes) -> Axes:
    settings = list(dict.fromkeys(_settings(frame)))
    arms = _looks(style.bars, frame, again=False)
    step = 0.8 / len(arms)
    for number, (arm, how) in enumerate(arms.items()):
        rows = frame[frame["arm"] == arm]
        middle, reach = _quartiles(rows["requests_per_s"], _settings(rows))
        places = [settings.index(name) - 0.4 + step * (number + 0.5) for name in middle.index]
        drawn = ax.barh(places, middle, height=step * 0.9, xerr=reach, label=arm, **how)
        ax.bar_label(drawn, [schema.si_count(value) for value in middle], padding=4, fontsize=8)
    style.rows(ax, settings)
    style.axis(ax, "x", "requests_per_s")
    ax.margins(x=0.12)
    return style.finish(ax, frame, title="What an unmodified Redis server answers")


def _whereabouts(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw, for each arm, its messages next to the count of each witness."""
    columns = ["messages", "redirects", "lo_packets"]
    bars = style.bars(columns)
    for number, (column, how) in enumerate(bars.items()):
        places = [place - 0.27 + 0.27 * number for place in range(len(frame))]
        drawn = ax.barh(places, frame[column], height=0.25, label=schema.label(column), **how)
        ax.bar_label(drawn, [f"{count:,}" for count in frame[column]], padding=4, fontsize=8)
    style.rows(ax, frame["arm"])
    style.axis(ax, "x", "count")
    ax.margins(x=0.12)
    return style.finish(ax, frame, title="Where the messages went, by three counts")


def _looks(draw: Callable[[list[str]], dict[str, Any]], frame: pd.DataFrame, *, again: bool = True) -> dict[str, Any]:
    """Return how the arms of a frame are drawn, in the order of `_ARMS`; `again` keeps the arm against itself."""
    there = set(frame["arm"])
    return {arm: how for arm, how in draw(_ARMS).items() if arm in there and (again or not arm.endswith(_AGAIN))}


def _quartiles(values: pd.Series, by: pd.Series) -> tuple[pd.Series, list[pd.Series]]:
    """Return the median of each group, and how far the quartiles reach below and above it."""
    low, middle, high = (values.groupby(by).quantile(share) for share in (0.25, 0.5, 0.75))
    return middle, [middle - low, high - middle]


def _settings(frame: pd.DataFrame) -> pd.Series:
    """Return, for each row, what holds for all arms, in words: "same core, 64 B", "cross core, pipeline 16"."""
    if "pipeline" in frame:
        return frame["pinning"] + ", pipeline " + frame["pipeline"].astype(str)
    return frame["pinning"] + ", " + frame["message_bytes"].map(schema.si_bytes)


_PICTURES: style.Pictures = {
    "ratio": _ratios,
    "elapsed_s": _live,
    "requests_per_s": _requests,
    "message_bytes": _by_size,
    "messages": _whereabouts,
}

_LAYERS = ["socket", "TCP: segments, acknowledgements", "IP: routes", "device lo: queue, interrupt"]
_LEFT, _RIGHT, _TOP = 2.2, 7.8, 3.4


def plot_path(ax: Axes | None = None) -> Axes:
    """Draw the way of a message from process to process: down and up the TCP stack, and by the shortcut."""
    ax = style.axes(ax)
    ax.set_axis_off()
    ax.set(xlim=(0, 10), ylim=(0.0, 5.1))
    plain, short = style.series(_ARMS[:2]).values()
    ax.axhline(4.0, color=style.INK, linewidth=0.8, linestyle=":")
    ax.text(5, 4.08, "processes above, kernel below", ha="center", fontsize=8, color=style.INK)
    for x, words in ((_LEFT, "client: send()"), (_RIGHT, "server: recv()")):
        _box(ax, x, 4.6, words)
        for depth, layer in enumerate(_LAYERS):
            _box(ax, x, _TOP - depth, layer)
    for depth in range(4):
        upper, lower = (4.6 if depth == 0 else _TOP + 1.0 - depth), _TOP - depth
        _arrow(ax, (_LEFT, upper - 0.25), (_LEFT, lower + 0.25), plain)
        _arrow(ax, (_RIGHT, lower + 0.25), (_RIGHT, upper - 0.25), plain)
    _arrow(ax, (_LEFT + 1.75, _TOP - 3), (_RIGHT - 1.75, _TOP - 3), plain)
    ax.text(5, _TOP - 2.9, "TCP: every layer, twice", ha="center", va="bottom", fontsize=9, color=plain["color"])
    _arrow(ax, (_LEFT + 1.75, _TOP), (_RIGHT - 1.75, _TOP), short)
    ax.text(5, _TOP - 0.1, "send_message:\nthe shortcut", ha="center", va="top", fontsize=9, color=short["color"])
    ax.set_title("The way of a message", loc="left", fontsize=11, color=style.INK)
    return ax


def _box(ax: Axes, x: float, y: float, words: str) -> None:
    width = 3.3
    ax.add_patch(
        Rectangle((x - width / 2, y - 0.25), width, 0.5, facecolor="white", edgecolor=style.INK, linewidth=0.8)
    )
    ax.text(x, y, words, ha="center", va="center", fontsize=8.5, color=style.INK)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], how: dict[str, Any]) -> None:
    arrow = {"arrowstyle": "-|>", "color": how["color"], "linestyle": how["linestyle"], "linewidth": 1.8}
    ax.annotate("", xy=end, xytext=start, arrowprops=arrow)
