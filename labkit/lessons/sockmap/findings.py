# SPDX-License-Identifier: Apache-2.0
"""Lesson 09 in sentences, each computed from a frame and with its interval."""

from __future__ import annotations

from typing import Any

import pandas as pd

from labkit import schema
from labkit.lessons.sockmap import comparison
from labkit.lessons.sockmap.slices import ARMS, SHORTCUT, TCP, in_words
from labkit.notebook.tables import times

__all__ = ["against_tcp", "speeds", "work"]


def speeds(ratios: pd.DataFrame) -> list[str]:
    """Return one sentence per setting: how fast each arm is, compared with the shortcut.

    Parameters
    ----------
    ratios : as `sockmap.ratios` returns it.
    """
    said = []
    for where, rows in _by_setting(ratios[ratios["arm"].isin(ARMS)]):
        arms = [
            f"{row['arm']} is {times(row['ratio'], row['low'], row['high'], row['slices'])} as fast" for row in rows
        ]
        said.append(f"{where}, compared with the shortcut: {'; '.join(arms)}.")
    return said


def against_tcp(frame: pd.DataFrame, column: str, words: str) -> str:
    """Return, for each setting, how many times TCP's speed the shortcut has.

    Parameters
    ----------
    frame : from `sockmap.measure`, `sockmap.throughput` or `sockmap.redis`.
    column : what is compared.
    words : the same in words: "requests per second".
    """
    found = comparison.ratios(frame, column)
    said = [
        f"{where}: {times(1 / row['ratio'], 1 / row['high'], 1 / row['low'], row['slices'])}"
        for where, (row,) in _by_setting(found[found["arm"] == TCP])
    ]
    return f"The shortcut's {words}, compared with TCP's. {'; '.join(said)}."


def work(trips: pd.DataFrame) -> list[str]:
    """Return one sentence per setting: the median round trip, and the CPU time that one costs on average."""
    said = []
    for where, rows in _by_setting(comparison.medians(trips)):
        arms = [
            f"{row['arm']} {schema.si_ns(row['p50_ns'])} and {schema.si_ns(2 * row['cpu_ns_per_message'])}"
            for row in rows
            if row["arm"] in (TCP, SHORTCUT)
        ]
        said.append(f"{where}, median round trip, and CPU time of both ends per round trip: {'; '.join(arms)}.")
    return said


def _by_setting(frame: pd.DataFrame) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return each setting in words, with its rows."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame.to_dict("records"):
        named = {str(name): value for name, value in row.items()}
        found.setdefault(in_words(named), []).append(named)
    return list(found.items())
