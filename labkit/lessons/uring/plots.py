# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: heads and tails, calls by batch, who submits and what it costs, savings, workers, many files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from labkit import schema
from labkit.lessons.uring.arms import summary
from labkit.lessons.uring.registration import savings
from labkit.lessons.uring.rings import HEADS_AND_TAILS
from labkit.notebook.plotting import style
from labkit.stats import trial

__all__ = ["plot"]

_SPREAD = 8  # times the smallest: from here on an axis is logarithmic


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw any frame of this lesson; its columns say which of the pictures it needs."""
    return style.picture(_PICTURES, frame, ax)


def _rings(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Four lines that climb; the distance between two of them is how many requests are there."""
    for (name, how), width in zip(style.series(HEADS_AND_TAILS).items(), (5.0, 1.6, 5.0, 1.6), strict=True):
        thick = {"linewidth": width, "alpha": 0.45, "marker": "", "linestyle": "-"} if width > 2 else {"markersize": 3}
        ax.step(frame["step"], frame[name], where="post", label=schema.label(name), **{**how, **thick})
    ax.fill_between(frame["step"], frame["cq_tail"], frame["sq_head"], step="post", color=style.GRID, zorder=0)
    ax.fill_between(
        frame["step"],
        frame["cq_head"],
        frame["cq_tail"],
        step="post",
        facecolor="none",
        edgecolor=style.GRID,
        hatch="//",
        zorder=0,
    )
    style.axis(ax, "x", "step")
    ax.set_ylabel("requests so far", color=style.INK)
    return style.finish(
        ax, frame, title="Grey: in flight in the kernel. Hatched: results that the program has not seen yet"
    )


def _batches(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Calls per I/O next to the line 1 / batch; and the CPU time of program and kernel threads together."""
    arms = summary(frame)
    arms = arms[~arms["arm"].str.endswith(trial.AGAIN)].reset_index(drop=True)
    names, per_io = _names(arms), arms["calls_per_io"]
    watched = per_io.notna().any()
    if not per_io.notna().all():  # nothing was attached
        per_io = per_io.fillna(arms["calls"] / arms["ios"])
    ax, right = style.split(ax)
    costs, each = arms["cpu_ns_per_io"], _names(frame)
    spread = costs.max() > _SPREAD * costs.min()  # a linear axis would press the smaller ones against it
    limit = float("inf") if spread else 1.6 * costs.max()
    for name, how in style.series(names).items():
        rows, slices = arms[names == name].sort_values("batch"), frame[each == name]
        right.plot(rows["batch"], rows["cpu_ns_per_io"], label=name, **how)
        inside = slices["cpu_ns_per_io"] <= limit
        mark = {"color": how["color"], "linestyle": "none", "alpha": 0.6}
        right.plot(slices["batch"][inside], slices["cpu_ns_per_io"][inside], marker="_", **mark)
        if not inside.all():
            right.plot(slices["batch"][~inside], [limit] * int((~inside).sum()), marker="^", clip_on=False, **mark)
    style.axis(right, "x", "batch", log=2, ticks=arms["batch"])
    style.axis(right, "y", "cpu_ns_per_io", log=10 if spread else None)
    if not spread:
        right.set_ylim(0, limit)
    # the left half says it where the frame is a recording
    style.finish(right, pd.DataFrame(), title="CPU time: slices, median", legend=False)
    for number, (name, how) in enumerate(style.series(names).items()):
        rows = arms[names == name].sort_values("batch")
        rows = rows[per_io[rows.index] > 0]  # a logarithmic axis has no zero
        size = max(9 - 3 * number, 3)  # so that all marks at one place are seen
        ax.plot(rows["batch"], per_io[rows.index], label=name, **{**how, "linewidth": 0.8, "markersize": size})
    sizes = sorted(arms["batch"].unique())
    ax.plot(sizes, [1 / size for size in sizes], color=style.INK, linestyle=":", linewidth=1, label="1 / batch")
    style.axis(ax, "x", "batch", log=2, ticks=sizes)
    style.axis(ax, "y", "calls_per_io", log=10)
    title = f"Calls per I/O, counted by the {'kernel' if watched else 'program'}"
    none = [name for name in dict.fromkeys(names) if not (per_io[names == name] > 0).any()]
    style.legend_below(ax)
    return style.finish(ax, frame, title=f"{title}; none by {', '.join(none)}" if none else title, legend=False)


def _names(frame: pd.DataFrame) -> pd.Series:
    """Return the name of each row: who submits, and whatever else differs between rows."""
    names = frame["submitter"].astype(str)
    for column, word in (("block_bytes", ""), ("registered", "registered "), ("run", "run ")):
        if column in frame and frame[column].nunique() > 1:
            names = names + " / " + word + frame[column].map(schema.formatter(column))
    return names


def _submitters(frame: pd.DataFrame, ax: Axes) -> Axes:
    """CPU time of program and kernel thread, stacked; next to it the I/Os per second. Medians; marks are the slices."""
    left, right = style.split(ax, sharey=True, width_ratios=[3, 2])
    kinds = style.bars(["the program", "the kernel's thread"])
    arms = summary(frame)
    limits = 1.5 * arms["cpu_ns_per_io"].max(), 1.7 * arms["ios_per_s"].max()
    rows = arms.to_dict("records")
    for place, row in enumerate(rows):
        own, other = row["program_cpu_ns_per_io"], row["kernel_cpu_ns_per_io"]
        labels = {} if place else {name: name for name in kinds}
        parts = zip(kinds.items(), ((0, own), (own, other)), strict=True)
        for (name, how), (start, width) in parts:
            left.barh(place, width, left=start, height=0.6, label=labels.get(name), **how)
        left.annotate(
            schema.si_ns(row["cpu_ns_per_io"]),  # as in the table: the median of sums is not the sum of medians
            (own + other, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
        bar = right.barh(place, row["ios_per_s"], height=0.6, color=style.COLOURS[2])
        right.bar_label(bar, [f"{schema.si_count(row['ios_per_s'])}/s"], padding=3, fontsize=9)
        slices = frame[frame["arm"] == row["arm"]]
        _marks(left, slices["cpu_ns_per_io"], place + 0.38, limits[0], marker="|", color=style.INK)
        _marks(right, slices["ios_per_s"], place + 0.38, limits[1], schema.si_count, marker="|", color=style.INK)
    style.rows(left, [row["arm"].replace(" (p", "\n(p").replace(" on ", "\non ", 1) for row in rows], below=0.2)
    left.set_xlim(0, limits[0])
    right.set_xlim(0, limits[1])
    style.axis(left, "x", "cpu_ns_per_io")
    style.axis(right, "x", "ios_per_s")
    style.finish(right, pd.DataFrame(), title="I/Os per second", legend=False)
    style.finish(left, frame, title="CPU time (marks: slices)", legend=False)
    style.legend_below(left)  # inside it would hide marks
    return left


def _marks(
    ax: Axes, values: pd.Series, place: float, limit: float, write: Callable[[float], str] = schema.si_ns, **how: Any
) -> None:
    """Draw slices as marks in one line; one that is beyond the axis is an arrow at its end, with its number."""
    inside = values[values <= limit]
    ax.plot(inside, [place] * len(inside), **{**how, "linestyle": "none"})
    beyond = values[values > limit]
    if len(beyond):
        ax.plot([limit], [place], **{**how, "marker": ">", "linestyle": "none", "clip_on": False})
        most = write(beyond.max()) if len(beyond) == 1 else f"{len(beyond)}, up to {write(beyond.max())}"
        ax.annotate(
            most, (limit, place), xytext=(-6, 0), textcoords="offset points", ha="right", va="center", fontsize=8
        )


def _savings(frame: pd.DataFrame, ax: Axes) -> Axes:
    """The CPU time of each arm as a ratio to nothing registered, with its 95 % interval."""
    table = savings(frame)
    sizes = sorted(frame["block_bytes"].unique())
    arms = style.series([arm for arm in ("buffers", "files", "both", "nothing (again)") if arm in set(table["arm"])])
    for number, (arm, how) in enumerate(arms.items()):
        rows = table[table["arm"] == arm].set_index("block_bytes").loc[sizes]
        places = [place - 0.3 + 0.6 * number / max(len(arms) - 1, 1) for place in range(len(sizes))]
        reach = [rows["ratio"] - rows["low"], rows["high"] - rows["ratio"]]
        ax.errorbar(rows["ratio"], places, xerr=reach, label=arm, capsize=3, **{**how, "linestyle": "none"})
    ax.axvline(1.0, color=style.INK, linewidth=1)
    style.rows(ax, [schema.si_bytes(size) for size in sizes])
    style.axis(ax, "x", "ratio")
    ax.set_xlabel("CPU time per read, divided by that with nothing registered; 95 % interval")
    style.finish(
        ax, frame, title="Left of the line: CPU time is saved. Where an interval crosses it: no difference shown"
    )
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def _workers(frame: pd.DataFrame, ax: Axes) -> Axes:
    arms = zip(frame["arm"].str.replace(" with ", "\nwith "), frame["filesystem"], strict=True)
    names = [arm if arm == kind else f"{arm}\n({kind})" for arm, kind in arms]
    kinds = style.bars(["done in the call itself", "handed to a worker"])
    for place, row in enumerate(frame.to_dict("records")):
        parts = (row["ios"] - row["punted"], row["punted"])
        starts = (0, parts[0])
        for (name, how), width, start in zip(kinds.items(), parts, starts, strict=True):
            ax.barh(place, width, left=start, height=0.6, label=None if place else name, **how)
        said = f"{row['workers']} worker{'' if row['workers'] == 1 else 's'}, {row['calls']} calls"
        ax.annotate(said, (row["ios"], place), xytext=(5, 0), textcoords="offset points", va="center")
    style.rows(ax, names, below=0.2)
    ax.margins(x=0.35)
    style.axis(ax, "x", "ios")
    style.finish(ax, frame, title="Who does the reads", legend=False)
    ax.legend(frameon=False, fontsize=9, loc="lower right", ncols=2)
    return ax


def _tour(frame: pd.DataFrame, ax: Axes) -> Axes:
    return _bars(
        frame,
        ax,
        "calls_per_io",
        [f"{row['stop']}: {row['interface']}" for row in frame.to_dict("records")],
        "System calls per operation, counted by the kernel",
    )


def _files(frame: pd.DataFrame, ax: Axes) -> Axes:
    arms = style.series(frame["arm"].sort_values(ascending=False))
    medians = frame.groupby("arm")["ns_per_file"].median()
    limit = 2.5 * medians.max()
    for place, (arm, how) in enumerate(arms.items()):
        values = frame.loc[frame["arm"] == arm, "ns_per_file"]
        _marks(ax, values, place, limit, **how)
        ax.plot([medians[arm]] * 2, [place - 0.25, place + 0.25], color=how["color"], linewidth=2)
        ax.annotate(schema.si_ns(medians[arm]), (medians[arm], place - 0.28), ha="center", va="bottom", fontsize=9)
    style.rows(ax, arms, above=0.8)
    ax.set_xlim(0, limit)
    style.axis(ax, "x", "ns_per_file")
    files = frame.attrs.get("files", "many")
    return style.finish(
        ax, frame, title=f"Open, read and close {files} files: each slice, and the median", legend=False
    )


def _clocks(frame: pd.DataFrame, ax: Axes) -> Axes:
    rows = frame[frame["took_ns"] >= 0]
    (how,) = style.series(["asked"]).values()
    for row in rows.to_dict("records"):
        ax.plot([row["asked_ns"], row["took_ns"]], [row["arrived"]] * 2, color=how["color"], linewidth=1.2)
    ax.plot(rows["asked_ns"], rows["arrived"], label="asked for", **{**how, "linestyle": "none"})
    ax.plot(
        rows["took_ns"], rows["arrived"], label="ended", marker="|", markersize=14, color=style.INK, linestyle="none"
    )
    ax.set_ylim(rows["arrived"].max() + 0.5, 0.5)
    ax.set_xlim(left=0)
    style.axis(ax, "x", "took_ns")
    ax.set_xlabel("time since the submission", color=style.INK)
    style.axis(ax, "y", "arrived", ticks=rows["arrived"])
    return style.finish(ax, frame, title="Timeouts, in the order in which they ended")


def _readers(frame: pd.DataFrame, ax: Axes) -> Axes:
    return _bars(frame, ax, "calls", list(frame["interface"]), "Calls of io_uring_enter to read the file")


def _bars(frame: pd.DataFrame, ax: Axes, column: str, names: list[str], title: str) -> Axes:
    hows: list[dict[str, Any]] = list(style.bars(frame["interface"]).values())
    looks = dict(zip(dict.fromkeys(frame["interface"]), hows, strict=True))
    for place, (interface, value) in enumerate(zip(frame["interface"], frame[column], strict=True)):
        ax.bar_label(
            ax.barh(place, value, height=0.6, **looks[interface]), [schema.formatter(column)(value)], padding=3
        )
    style.rows(ax, names)
    ax.margins(x=0.15)
    style.axis(ax, "x", column)
    return style.finish(ax, frame, title=title, legend=False)


_PICTURES: style.Pictures = {
    "step": _rings,
    "batch": _batches,
    "by_sqpoll": _submitters,
    "cpu_ns_per_io": _savings,
    "punted": _workers,
    "stop": _tour,
    "ns_per_file": _files,
    "took_ns": _clocks,
    "crc32": _readers,
}
