"""Lesson 07's sentence of finding: like with like. All settings but one are the same, and it says which they are."""

from __future__ import annotations

from typing import Any

import pandas as pd

from labkit import schema
from labkit.notebook.tables import times

__all__ = ["finding"]

Row = dict[Any, Any]

SYNC = "sync"  # its depth is 1, whatever was asked for
WHY = "which has one I/O at a time"
VARIED = ("engine", "block_bytes", "queue_depth", "cache")
MOST_SENTENCES = 2


def finding(frame: pd.DataFrame) -> str:
    """Return what the last run shows: engines at one setting, then one engine at two settings."""
    last = frame[frame["run"] == frame["run"].max()]
    said = [_engines(last), *(_settings(last, varied) for varied in VARIED[1:])]
    told = [sentence for sentence in said if sentence][:MOST_SENTENCES] or [_alone(last.iloc[0].to_dict())]
    which = [f"Run {last['run'].iloc[0]}."] if frame["run"].nunique() > 1 else []
    return " ".join([*which, *told])


def _engines(last: pd.DataFrame) -> str:
    pair = _widest(last, "engine")
    rows = last.to_dict("records")
    sync = {(row["cache"], row["block_bytes"]): row for row in rows if row["engine"] == SYNC}
    if pair is None:
        alone = [(row, sync.get((row["cache"], row["block_bytes"]))) for row in rows if row["engine"] != SYNC]
        beside = [(_compared(row, one), _words(row, "engine"), row, one) for row, one in alone if one is not None]
        if not beside:
            return ""
        _, where, row, one = max(beside, key=lambda each: max(each[0], 1 / each[0]))
        return f"{where}: {_sync_beside(row, one)}."
    slow, fast = pair
    said = f"{_words(fast, 'engine')}: {fast['engine']} moves {_times(fast, slow)} {slow['engine']}"
    shallow = sync.get((fast["cache"], fast["block_bytes"])) if fast["queue_depth"] > 1 else None
    if shallow is None:
        return f"{said}."
    more = _compared(fast, shallow)
    also = f"and {times(more)} as many as {SYNC}, {WHY}" if more >= 1 else _sync_beside(fast, shallow)
    return f"{said}; {also}."


def _settings(last: pd.DataFrame, varied: str) -> str:
    pair = _widest(last, varied)
    if pair is None:
        return ""
    slow, fast = pair
    return f"{_words(fast, varied)}: {_value(fast, varied)} moves {_times(fast, slow)} {_value(slow, varied)}."


def _alone(row: Row) -> str:
    rate, middle = schema.si_count(row["ios_per_s"]), schema.si_ns(row["p50_ns"])
    return f"{_words(row)}: {rate} I/Os a second; half of them took less than {middle}."


def _sync_beside(row: Row, sync: Row) -> str:
    """Compare an engine with sync, which cannot have its depth."""
    if _compared(row, sync) >= 1:
        return f"{row['engine']} moves {_times(row, sync)} {SYNC}, {WHY}"
    return f"{SYNC}, {WHY}, moves {_times(sync, row)} {row['engine']}"


def _widest(last: pd.DataFrame, varied: str) -> tuple[Row, Row] | None:
    """Return the slowest and the fastest row of those that differ in nothing but `varied`, where they differ most."""
    same = [name for name in VARIED if name != varied]
    alike = [rows.sort_values("bytes_per_s") for _, rows in last.groupby(same) if len(rows) > 1]
    pairs: list[tuple[Row, Row]] = [(rows.iloc[0].to_dict(), rows.iloc[-1].to_dict()) for rows in alike]
    return max(pairs, key=lambda pair: _compared(pair[1], pair[0]), default=None)


def _compared(row: Row, other: Row) -> float:
    return float(row["bytes_per_s"] / other["bytes_per_s"])


def _times(fast: Row, slow: Row) -> str:
    return f"{times(_compared(fast, slow))} as many bytes a second as"


def _words(row: Row, *besides: str) -> str:
    """Return a setting in words: 'io_uring, 4 KiB, depth 32, O_DIRECT'."""
    return ", ".join(_value(row, name) for name in VARIED if name not in besides)


def _value(row: Row, name: str) -> str:
    return ("depth " if name == "queue_depth" else "") + str(schema.formatter(name)(row[name]))
