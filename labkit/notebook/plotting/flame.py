# SPDX-License-Identifier: Apache-2.0
"""A flame graph, hanging from above: each box is a function, its width the share of the samples in it.

The picture is Brendan Gregg's (2011). Boxes next to each other are sorted by name: from left to right is not time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes

from labkit.notebook.plotting import style

__all__ = ["boxes", "flame"]

SMALLEST = 0.003  # share of the samples below which a box cannot be seen
DEEP, SMALLEST_OF_DEEP = 12, 0.02  # where stacks are deeper than that, narrow towers would flatten all other boxes
_KERNEL, _PYTHON, _OTHER = "#E69F00", "#009E73", "#9ecae1"
_LETTER = 0.0093  # width of a letter as a share of the picture's


def boxes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the boxes of a flame graph: depth (from 0), left and share (of all samples), function, stack.

    The frame has `stack` ("main;work;apple") and `count`.
    """
    totals: Counter[tuple[str, ...]] = Counter()
    for stack, count in zip(frame["stack"], frame["count"], strict=True):
        names = tuple(stack.split(";"))
        for depth in range(len(names)):
            totals[names[: depth + 1]] += int(count)
    everything = sum(int(count) for count in frame["count"]) or 1
    rows = _laid_out((), 0.0, totals, everything)
    return pd.DataFrame(rows, columns=["depth", "left", "share", "function", "stack"])


def _laid_out(
    parent: tuple[str, ...], left: float, totals: Counter[tuple[str, ...]], everything: int
) -> Iterable[tuple[int, float, float, str, str]]:
    """Yield the boxes under one box, from left to right, each followed by its own."""
    children = sorted(path for path in totals if len(path) == len(parent) + 1 and path[: len(parent)] == parent)
    for path in children:
        share = totals[path] / everything
        yield len(parent), left, share, path[-1], ";".join(path)
        yield from _laid_out(path, left, totals, everything)
        left += share


def flame(frame: pd.DataFrame, ax: Axes | None = None, *, total: str = "", of: str = "samples") -> Axes:
    """Draw a frame of stacks: `stack`, `count`. `of` is what is counted; `total` in words, if it is no plain number."""
    ax = style.axes(ax)
    drawn = boxes(frame)
    drawn = drawn[drawn["share"] >= SMALLEST]
    if drawn["depth"].max() >= DEEP:
        drawn = drawn[drawn["share"] >= SMALLEST_OF_DEEP]
    columns = (drawn[column].tolist() for column in ("function", "depth", "left", "share"))
    for name, depth, left, share in zip(*columns, strict=True):
        kernel, python = name.endswith("_[k]"), name.startswith("py::")
        ax.barh(
            depth,
            share,
            left=left,
            height=0.94,
            edgecolor="white",
            linewidth=0.6,
            facecolor=_KERNEL if kernel else _PYTHON if python else _OTHER,
            hatch="//" if kernel else "",
        )
        text = _fitting(name.removesuffix("_[k]"), share)
        plate = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.6} if kernel else None
        box = plate if text else None
        ax.text(left + share / 2, depth, text, ha="center", va="center", fontsize=8, color=style.INK, bbox=box)
    ax.set_xlim(0, 1)
    ax.set_ylim(max(drawn["depth"], default=0) + 0.6, -0.6)
    ax.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    ax.set_xlabel(f"share of the {of}")
    ax.set_yticks([])
    ax.grid(False)
    title = f"{total or int(frame['count'].sum())} {'' if total else of}".strip()
    title += "; below each function, those that it called (hatched: kernel)"
    return style.finish(ax, frame, title=title, legend=False)


def _fitting(name: str, share: float) -> str:
    """Return as much of a name as fits into a box, or nothing."""
    room = int(share / _LETTER)
    if len(name) <= room:
        return name
    return f"{name[: room - 1]}…" if room >= 4 else ""
