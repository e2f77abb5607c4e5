# SPDX-License-Identifier: Apache-2.0
"""Lesson 07's arms: how each is named, and how it is drawn; the same in every picture, however many runs there are.

The engine has the colour and the mark, the way to the file has the line, whatever else differs has the mark's filling.
A run that is added to others changes nothing of theirs.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from labkit import schema
from labkit.lessons._io.job import CACHES, ENGINES
from labkit.notebook.plotting import style

__all__ = ["bar", "bars", "names", "series"]

_SETTINGS = ("operation", "order", "block_bytes")  # besides engine, way and depth: told apart by the mark's filling
_FILLINGS: tuple[dict[str, Any], ...] = (
    {"fillstyle": "full"},
    {"fillstyle": "full", "markerfacecolor": "white"},
    {"fillstyle": "left", "markerfacecoloralt": "white"},
    {"fillstyle": "bottom", "markerfacecoloralt": "white"},
    {"fillstyle": "right", "markerfacecoloralt": "white"},
    {"fillstyle": "top", "markerfacecoloralt": "white"},
)


def names(frame: pd.DataFrame, *drawn: str) -> pd.Series:
    """Return the arm of each row: its engine, and whatever differs between rows and is not `drawn` otherwise.

    The run is named only where one setting was measured in several.
    """
    made = frame["engine"].astype(str)
    for column in ("cache", "operation", "order", "queue_depth", "block_bytes"):
        if column not in frame or column in drawn:
            continue
        if frame.groupby("engine")[column].nunique().max() > 1:
            word = "depth " if column == "queue_depth" else ""
            made = made + ", " + word + frame[column].map(schema.formatter(column))
    times = _times(frame)
    again = times.groupby(made).transform("max") > 0
    if again.any():
        for _, rows in frame[again].groupby([made[again], times[again]]):
            runs = list(dict.fromkeys(rows["run"].astype(str)))
            made[rows.index] += f", {'runs' if len(runs) > 1 else 'run'} {', '.join(runs)}"
    return made


def series(frame: pd.DataFrame, *drawn: str) -> dict[str, dict[str, Any]]:
    """Return, for each of `names`, the colour, the mark and the line for `Axes.plot`."""
    settings = [name for name in _SETTINGS if name in frame and name not in drawn]
    kinds = list(zip(*(frame[name] for name in settings), _times(frame), strict=True))
    filling = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    engines, ways = _engines(frame), _ways(frame)
    looks = style.series(_in_order(ENGINES, engines))
    return {
        name: {
            **looks[engine],
            "linestyle": style.LINES[_in_order(CACHES, ways).index(way) % len(style.LINES)],
            "markersize": 6,
            **_FILLINGS[filling[kind] % len(_FILLINGS)],
        }
        for name, engine, way, kind in zip(names(frame, *drawn), engines, ways, kinds, strict=True)
    }


def bar(engine: str, place: int = 0) -> dict[str, Any]:
    """Return how to draw a bar of an engine; `place` distinguishes it from the engine's other bars."""
    colour = style.bars(_in_order(ENGINES, [engine]))[engine]["facecolor"]
    return {"facecolor": colour, "hatch": style.HATCHES[place % len(style.HATCHES)], "edgecolor": "white"}


def bars(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how to draw the bar of each row: its engine's colour, and hatching for the way to the file."""
    ways = _ways(frame)
    return [bar(engine, _in_order(CACHES, ways).index(way)) for engine, way in zip(_engines(frame), ways, strict=True)]


def _times(frame: pd.DataFrame) -> pd.Series:
    """Return, for each row, how often its setting was measured in runs before."""
    if "run" not in frame:
        return pd.Series(0, index=frame.index)
    setting = [name for name in ("engine", "cache", *_SETTINGS, "queue_depth") if name in frame]
    return frame.groupby(setting).cumcount()


def _engines(frame: pd.DataFrame) -> list[str]:
    return list(frame["engine"].astype(str))


def _ways(frame: pd.DataFrame) -> list[str]:
    return list(frame["cache"].astype(str)) if "cache" in frame else [CACHES[0]] * len(frame)


def _in_order(known: tuple[str, ...], there: list[str]) -> list[str]:
    """Return the known names, and after them those of `there` that are not among them."""
    return list(dict.fromkeys([*known, *there]))
