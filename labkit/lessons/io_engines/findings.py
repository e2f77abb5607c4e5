# SPDX-License-Identifier: Apache-2.0
"""Lesson 07's findings: they compare settings that differ in one thing, and say which things are equal.

A ratio is stated only where the intervals of the two rates leave out that they are equal.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_choice
from labkit.notebook.tables import times
from labkit.stats import trial

__all__ = ["finding", "growth", "rivals"]

Row = dict[Any, Any]

SYNC = "sync"  # its depth is 1, whatever was asked for
WHY = "which has one I/O in flight"
VARIED = ("engine", "block_bytes", "queue_depth", "cache")
MOST_SENTENCES = 2
MEASURES = {"I/Os per second": "ios_per_s", "median latency": "p50_ns"}
ALL_MEASURES = {**MEASURES, "CPU time per I/O": "cpu_ns_per_io"}


def finding(frame: pd.DataFrame) -> str:
    """Return what the last run shows: engines at one setting, then one engine at two settings."""
    last = frame[frame["run"] == frame["run"].max()]
    last = last[~last["again"]] if "again" in last else last
    said = [_engines(last), *(_settings(last, varied) for varied in VARIED[1:])]
    chosen = [sentence for sentence in said if sentence][:MOST_SENTENCES] or [_alone(last.iloc[0].to_dict())]
    which = [f"Run {last['run'].iloc[0]}."] if frame["run"].nunique() > 1 else []
    return " ".join([*which, *chosen])


def growth(frame: pd.DataFrame, setting: str, start: int, end: int) -> pd.DataFrame:
    """Compare two values of one setting, engine by engine: what does it do to the rate, and to the latency?

    Parameters
    ----------
    frame : as `io_engines.measure` returns it.
    setting : the column that differs: "queue_depth", "block_bytes" or "file_bytes".
    start, end : its two values. Engines that lack one of them (sync has only depth 1) are left out.

    Returns one row per engine and measure: engine, comparison ("I/Os per second" or "median latency"), ratio (of its
    value at `end` to that at `start`), low, high. The interval goes from the quotient of the nearest ends of the two
    intervals to that of the farthest, so it covers more than 95 %.
    """
    rows = []
    for engine, each in frame[~frame["again"]].groupby("engine", sort=False):
        at: dict[Any, Row] = {row[setting]: row for row in each.drop_duplicates(setting).to_dict("records")}
        if not {start, end} <= at.keys():
            continue
        rows += [
            {"engine": engine, "comparison": measure, **_quotient(at[end], at[start], column)}
            for measure, column in MEASURES.items()
        ]
    return schema.frame(rows)


def rivals(frame: pd.DataFrame, engine: str) -> pd.DataFrame:
    """Compare an engine with each other one at the same setting: rate, latency, CPU time.

    Parameters
    ----------
    frame : as `io_engines.measure` returns it, with one row per engine.
    engine : what is compared, such as "pool".

    Returns one row per other engine and measure: engine (the other one), comparison ("I/Os per second", "median
    latency" or "CPU time per I/O"), ratio (of the value of `engine` to that of the other), low, high (as of `growth`).
    """
    rows: dict[Any, Row] = {
        row["engine"]: row for row in frame[~frame["again"]].drop_duplicates("engine").to_dict("records")
    }
    own = rows.pop(check_choice("engine", engine, rows))
    return schema.frame(
        [
            {"engine": other, "comparison": measure, **_quotient(own, row, column)}
            for other, row in rows.items()
            for measure, column in ALL_MEASURES.items()
        ]
    )


def _quotient(over: Row, under: Row, column: str) -> dict[str, float]:
    """Return ratio, low and high of a column of two rows."""
    ends = [f"{end}{column}" for end in ("", "low_", "high_")]
    found = trial.quotient([over[end] for end in ends], [under[end] for end in ends])
    return dict(zip(("ratio", "low", "high"), found, strict=True))


def _engines(last: pd.DataFrame) -> str:
    pair = _widest(last, "engine")
    rows = last.to_dict("records")
    sync = {(row["cache"], row["block_bytes"]): row for row in rows if row["engine"] == SYNC}
    if pair is None:
        alone = [(row, sync.get((row["cache"], row["block_bytes"]))) for row in rows if row["engine"] != SYNC]
        compared = [(_compared(row, one), _words(row, "engine"), row, one) for row, one in alone if one is not None]
        if not compared:
            return ""
        _, where, row, one = max(compared, key=lambda each: max(each[0], 1 / each[0]))
        return f"{where}: {_next_to_sync(row, one)}."
    slow, fast = pair
    said = f"{_words(fast, 'engine')}: {_difference(fast, slow, fast['engine'], slow['engine'])}"
    shallow = sync.get((fast["cache"], fast["block_bytes"])) if fast["queue_depth"] > 1 else None
    return f"{said}." if shallow is None else f"{said}; {_next_to_sync(fast, shallow)}."


def _settings(last: pd.DataFrame, varied: str) -> str:
    pair = _widest(last, varied)
    if pair is None:
        return ""
    slow, fast = pair
    return f"{_words(fast, varied)}: {_difference(fast, slow, _value(fast, varied), _value(slow, varied))}."


def _alone(row: Row) -> str:
    rate, middle = schema.si_count(row["ios_per_s"]), schema.si_ns(row["p50_ns"])
    return f"{_words(row)}: {rate} I/Os per second; half of them took less than {middle}."


def _next_to_sync(row: Row, sync: Row) -> str:
    """Compare an engine with sync, which cannot have its depth."""
    faster, slower = (row, sync) if _compared(row, sync) >= 1 else (sync, row)
    names = {id(row): row["engine"], id(sync): f"{SYNC}, {WHY}" + (", " if faster is sync else "")}
    return _difference(faster, slower, names[id(faster)], names[id(slower)])


def _difference(fast: Row, slow: Row, fast_name: str, slow_name: str) -> str:
    """Return how much faster one row is than another, or that no difference was shown."""
    ratio = _compared(fast, slow)
    low = ratio * _end(fast, "low") / _end(slow, "high")
    high = ratio * _end(fast, "high") / _end(slow, "low")
    if low <= 1 <= high:
        return f"no difference was shown between {fast_name.rstrip(', ')} and {slow_name}"
    factor = times(ratio, low, high, min(fast["slices"], slow["slices"]))
    return f"{fast_name.rstrip()} moves {factor} as many bytes per second as {slow_name}"


def _end(row: Row, end: str) -> float:
    """Return one end of the interval of a row's rate, as a share of the rate."""
    return float(row[f"{end}_ios_per_s"] / row["ios_per_s"])


def _widest(last: pd.DataFrame, varied: str) -> tuple[Row, Row] | None:
    """Return the slowest and the fastest row of those that differ in nothing but `varied`, where they differ most."""
    same = [name for name in VARIED if name != varied]
    alike = [rows.sort_values("bytes_per_s") for _, rows in last.groupby(same) if len(rows) > 1]
    pairs: list[tuple[Row, Row]] = [(rows.iloc[0].to_dict(), rows.iloc[-1].to_dict()) for rows in alike]
    return max(pairs, key=lambda pair: _compared(pair[1], pair[0]), default=None)


def _compared(row: Row, other: Row) -> float:
    return float(row["bytes_per_s"] / other["bytes_per_s"])


def _words(row: Row, *left_out: str) -> str:
    """Return a setting in words: 'io_uring, 4 KiB, depth 32, O_DIRECT'."""
    return ", ".join(_value(row, name) for name in VARIED if name not in left_out)


def _value(row: Row, name: str) -> str:
    return ("depth " if name == "queue_depth" else "") + str(schema.formatter(name)(row[name]))
