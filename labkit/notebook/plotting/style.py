# SPDX-License-Identifier: Apache-2.0
"""How every plot of the lab looks: one figure size, safe colours, axes that say "4 KiB" and "12 µs".

A lesson's plot is a function `STEM(frame, ax=None) -> Axes` in a file of its own:

    def io_engines(frame, ax=None):
        ax = style.axes(ax)
        for arm, how in style.series(frame["arm"]).items():
            rows = frame[frame["arm"] == arm]
            ax.plot(rows["block_bytes"], rows["latency_ns"], label=arm, **how)
        style.axis(ax, "x", "block_bytes", log=2)
        style.axis(ax, "y", "latency_ns")
        return style.finish(ax, frame, title="Larger blocks take longer")
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Hashable, Iterable, Mapping
from html import escape
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.core.getipython import get_ipython
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, LogFormatter, LogLocator, MaxNLocator, NullFormatter

from labkit import schema

__all__ = [
    "GRID",
    "INK",
    "Pictures",
    "axes",
    "axis",
    "bars",
    "figure",
    "finish",
    "grow",
    "image",
    "legend_below",
    "picture",
    "png",
    "prepare",
    "ratio_axis",
    "reach",
    "rows",
    "series",
    "side_by_side",
    "split",
    "words",
]

Pictures = Mapping[str, Callable[[pd.DataFrame, Axes], Axes]]  # a column of a frame -> how to draw that frame

SIZE_IN = (7.2, 3.8)
LEGEND_ROW_IN = 0.17
LEAST_RATIO, MOST_RATIO = 0.01, 100.0
INK = "#222222"
GRID = "#dddddd"

# Okabe and Ito's palette, told apart by every common kind of colour vision; its yellow is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (7, 3)))
HATCHES = ("", "//", "..", "xx", "\\\\", "oo", "++")


def figure() -> Figure:
    """Return an empty figure that belongs to nobody: panels draw on it, in any thread."""
    return _ours(Figure(figsize=SIZE_IN, layout="constrained", facecolor="white"))


def axes(ax: Axes | None = None) -> Axes:
    """Return `ax`, or axes on a new figure that the notebook shows below its cell, dressed for the lab."""
    if ax is None:
        drawn, ax = plt.subplots(figsize=SIZE_IN, layout="constrained", facecolor="white")
        _ours(drawn)
        _show_as_html()  # after the first figure, with which the notebook sets up its own way
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(colors=INK)
    return ax


def split(ax: Axes, rows: int = 1, columns: int = 2, **how: Any) -> list[Axes]:
    """Put a grid of axes in the place of `ax` and return them, dressed; `how` goes to matplotlib's `subplots`."""
    owner = ax.get_figure()
    place = ax.get_subplotspec()
    assert owner is not None and place is not None, "split() needs axes made by axes() or by a panel"
    ax.remove()
    made = place.subgridspec(rows, columns, **{k: how.pop(k) for k in ("width_ratios", "height_ratios") if k in how})
    return [axes(one) for one in np.ravel(made.subplots(**how))]


def picture(pictures: Pictures, frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw a frame: the first of the columns of `pictures` that it has decides which picture it gets."""
    return next(draw for column, draw in pictures.items() if column in frame)(frame, axes(ax))


def reach(rows: pd.DataFrame, column: str) -> list[pd.Series[float]]:
    """Return how far the interval of a column (its `low_` and `high_` columns) reaches below and above it."""
    sides = rows[column] - rows[f"low_{column}"], rows[f"high_{column}"] - rows[column]
    return [side.clip(lower=0) for side in sides]


def series(names: Iterable[Hashable]) -> dict[Any, dict[str, Any]]:
    """Return, for each distinct name in order, the colour, marker and line style for `Axes.plot`; all three differ."""
    distinct = list(dict.fromkeys(names))
    return {
        name: {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": LINES[i % len(LINES)],
            "markersize": 5,
            "linewidth": 1.6,
        }
        for i, name in enumerate(distinct)
    }


def bars(names: Iterable[Hashable]) -> dict[Any, dict[str, Any]]:
    """Return, for each distinct name in order, the colour and hatching for `Axes.bar`."""
    distinct = list(dict.fromkeys(names))
    return {
        name: {"facecolor": COLOURS[i % len(COLOURS)], "hatch": HATCHES[i % len(HATCHES)], "edgecolor": "white"}
        for i, name in enumerate(distinct)
    }


def rows(
    ax: Axes, names: Iterable[str], *, above: float = 0.5, below: float = 0.5, fontsize: int | None = None
) -> None:
    """Name the rows of a picture, from the top; `above` and `below` is the room at its ends, in rows."""
    named = list(names)
    ax.set_yticks(range(len(named)), named, fontsize=fontsize)
    ax.set_ylim(len(named) - below, -above)


def side_by_side(ax: Axes, frame: pd.DataFrame, labels: Mapping[str, str]) -> None:
    """Draw a group of bars for each row of a frame, with their values: one bar per column of `labels`."""
    width = 0.8 / len(labels)
    for number, ((column, label), how) in enumerate(zip(labels.items(), bars(labels).values(), strict=True)):
        places = [place + (number - (len(labels) - 1) / 2) * width for place in range(len(frame))]
        ax.bar_label(ax.bar(places, frame[column], width=0.9 * width, label=label, **how))


def axis(ax: Axes, which: Literal["x", "y"], column: str, *, log: float | None = None, ticks: Any = None) -> None:
    """Label one axis after a column of the schema.

    Parameters
    ----------
    which : "x" or "y".
    column : a name in `schema.COLUMNS`: its label and its formatter are used.
    log : the base of a logarithmic axis, 2 or 10; None for a linear one.
    ticks : the values to mark, such as `frame["block_bytes"]`; chosen from the range if None.
    """
    one = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xlabel if which == "x" else ax.set_ylabel)(schema.label(column), color=INK)
    if log is not None and ax.has_data() and not np.isfinite(one.get_minpos()):
        log = None  # all values are missing: matplotlib finds no ticks for a logarithmic axis
    if log is not None:
        (ax.set_xscale if which == "x" else ax.set_yscale)("log", base=log)
        one.set_minor_formatter(NullFormatter())
    one.set_major_formatter(FuncFormatter(_writer(column)))
    room = _room(ax, which)
    if ticks is not None:
        places = sorted(set(ticks))
        one.set_major_locator(FixedLocator(places[:: -(-len(places) // room)]))
    elif log is not None:
        one.set_major_locator(_LogLocator(base=log, numticks=room))
    elif column.endswith("_bytes"):
        one.set_major_locator(_BytesLocator(nbins=room))
    else:
        one.set_major_locator(MaxNLocator(nbins=min(room, 7), integer=_is_whole(column)))


def ratio_axis(ax: Axes) -> None:
    """Make the x axis one of ratios, logarithmic, with marks that fit; an interval may reach to infinity."""
    axis(ax, "x", "ratio", log=2)
    low, high = max(ax.get_xlim()[0], LEAST_RATIO), min(ax.get_xlim()[1], MOST_RATIO)
    fine = [0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4]
    wide = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100]
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(FixedLocator(fine if low >= 0.2 and high <= 5 else wide))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _is_whole(column: str) -> bool:
    return column in schema.COLUMNS and schema.COLUMNS[column].dtype.startswith("int")


def _writer(column: str) -> Callable[[float, int | None], str]:
    """Return the schema's formatter of a column in the form that matplotlib wants; ticks come to it as floats."""
    write, whole = schema.formatter(column), _is_whole(column)
    return lambda value, _: str(write(int(value) if whole and float(value).is_integer() else value))


def _room(ax: Axes, which: str) -> int:
    """Return how many tick labels fit next to each other."""
    drawn = ax.get_figure()
    assert drawn is not None
    width_in, height_in = drawn.get_size_inches()  # type: ignore[union-attr]
    place, grid = ax.get_position(), ax.get_subplotspec()
    names_in = 0.5 if grid is not None and grid.get_gridspec().ncols > 1 else 0  # of the rows: not in `place` yet
    return max(3, int((place.width * width_in - names_in) / 0.62 if which == "x" else place.height * height_in / 0.35))


def finish(ax: Axes, frame: pd.DataFrame, *, title: str = "", legend: bool = True) -> Axes:
    """Add title and legend, say RECORDED where the frame was not measured here, and return `ax`."""
    if frame.attrs.get("recorded"):
        place = ax.get_subplotspec()
        beside_another = place is not None and place.get_gridspec().ncols > 1  # no room for two long lines
        kernel = "" if beside_another else f" on kernel {frame.attrs.get('kernel', '?')}"
        title = f"{title}\n[RECORDED{kernel}]".strip()
    if title:
        ax.set_title(title, loc="left", fontsize=11, color=INK, wrap=True)
    if legend and len(ax.get_legend_handles_labels()[1]) > 1:
        ax.legend(frameon=False, fontsize=9, loc="best")
    return ax


def legend_below(ax: Axes) -> None:
    """Name the lines of `ax` below the picture, which grows by it: there may be many, and elsewhere they hide some."""
    drawn = ax.get_figure()
    handles, labels = ax.get_legend_handles_labels()
    if drawn is None or len(labels) < 2:
        return
    longest = max(map(len, labels))
    columns = next(count for count, fits in ((3, 24), (2, 45), (1, longest)) if longest <= fits)
    grow(ax, LEGEND_ROW_IN * (-(-len(labels) // columns) - 1))
    where: Any = "outside lower center"  # matplotlib's stubs do not know it
    drawn.legend(handles, labels, loc=where, ncols=columns, frameon=False, fontsize=8, handlelength=4)


def grow(ax: Axes, by_in: float) -> None:
    """Make the figure of `ax` higher by this many inches; a negative number changes nothing."""
    drawn = ax.get_figure()
    if isinstance(drawn, Figure) and by_in > 0:
        width, height = drawn.get_size_inches()
        drawn.set_size_inches(width, height + by_in)


def png(drawn: Figure) -> bytes:
    """Return a figure as PNG with two pixels for each of the screen's, so that it is sharp when enlarged."""
    buffer = io.BytesIO()
    prepare(drawn)
    # a figure of the learner's own may have no layout of ours: nothing of it is cut off
    drawn.savefig(buffer, format="png", dpi=200, bbox_inches=None if drawn.get_layout_engine() else "tight")
    return buffer.getvalue()


def prepare(drawn: Figure) -> None:
    """Make the texts of a figure of the lab's ready to be drawn: no formulas, and no line strikes through a value."""
    _write_plainly(drawn)
    _clear_of_lines(drawn)


# A plot is drawn on white. In a dark theme its lightness is turned round, and its hues stay.
_DARK = '<style>[data-jp-theme-light="false"] .labkit-plot { filter: invert(0.93) hue-rotate(180deg); }</style>'


def image(drawn: Figure, described: str = "") -> str:
    """Return a figure as an image in HTML, with `described`, or what `words` finds, for readers who cannot see it."""
    content = png(drawn)
    width, code = int.from_bytes(content[16:20], "big") // 2, base64.b64encode(content).decode()
    return (
        f'{_DARK}<img class="labkit-plot" alt="{escape(described or words(drawn))}" src="data:image/png;base64,{code}" '
        f'style="width: {width}px; max-width: 100%; height: auto; background: white; border-radius: 3px;">'
    )


def words(drawn: Figure) -> str:
    """Return what is written on a figure: of each of its axes the title, what runs across and up, the series."""
    said = []
    for ax in drawn.axes:
        across, up, series = ax.get_xlabel(), ax.get_ylabel(), ax.get_legend_handles_labels()[1]
        parts = [ax.get_title(loc="left") or ax.get_title(), f"Across: {across}" if across else ""]
        parts += [f"Up: {up}" if up else "", f"Series: {', '.join(map(str, series))}" if len(series) > 1 else ""]
        said.append(". ".join(" ".join(part.split()) for part in parts if part))
    return "Plot. " + ". ".join(part for part in said if part)


_OURS = "labkit"
_EDGE = 3.0  # points around a letter


def _ours(drawn: Figure) -> Figure:
    drawn.set_gid(_OURS)
    return drawn


def _write_plainly(drawn: Figure) -> None:
    """Have the texts of a figure of the lab's drawn as they are: a name with two `$` in it is no formula.

    A learner's own figure keeps its formulas, and so do the powers that matplotlib writes at a logarithmic axis.
    """
    if drawn.get_gid() != _OURS:
        return
    each_axis = [one for ax in drawn.axes for one in (ax.xaxis, ax.yaxis)]
    with_powers = [one for one in each_axis if isinstance(one.get_major_formatter(), LogFormatter)]
    kept = {id(label) for one in with_powers for label in one.get_ticklabels(which="both")}
    for text in drawn.findobj(Text):
        text.set_parse_math(id(text) in kept)  # type: ignore[attr-defined]


def _clear_of_lines(drawn: Figure) -> None:
    """Give the value labels of a figure of the lab's a white edge: no grid line or error bar strikes them through.

    Not those in the middle of a box: they are clear already.
    """
    if drawn.get_gid() != _OURS:
        return
    for text in (text for ax in drawn.axes for text in ax.texts):
        in_a_box = (
            text.get_bbox_patch() is not None
            or text.get_horizontalalignment() == text.get_verticalalignment() == "center"
        )
        if not in_a_box and not text.get_path_effects():
            text.set_path_effects([withStroke(linewidth=_EDGE, foreground="white")])


class _LogLocator(LogLocator):
    """Ticks at the decades; within them, too, where an axis has few decades."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        if self._base != 10 or vmin <= 0 or vmax >= 100 * vmin:  # type: ignore[attr-defined]
            subs: tuple[float, ...] = (1.0,)
        elif vmax > 30 * vmin:
            subs = (1.0,) if np.floor(np.log10(vmax)) > np.ceil(np.log10(vmin)) else (1.0, 3.0)
        else:
            subs = (1.0, 2.0, 5.0) if vmax > 4 * vmin else (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
        self.set_params(subs=subs)
        return super().tick_values(vmin, vmax)


class _BytesLocator(MaxNLocator):
    """Ticks at multiples of a power of two, as people count bytes."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        step = 2.0 ** np.ceil(np.log2(max(vmax - vmin, 1.0) / self._nbins))  # type: ignore[attr-defined]
        return np.arange(np.floor(vmin / step), np.ceil(vmax / step) + 1) * step


def _show_as_html() -> None:
    """Have the notebook show figures by `image`: JupyterLab gives its own pictures no words, and one pixel for two."""
    shell: Any = get_ipython()
    if getattr(shell, "kernel", None) is not None:
        formatters = shell.display_formatter.formatters
        formatters["text/html"].for_type(Figure, image)
        formatters["image/png"].pop(Figure, None)
