# SPDX-License-Identifier: Apache-2.0
"""Lesson 11 in sentences, each computed from a frame and with its interval."""

from __future__ import annotations

import pandas as pd

from labkit import schema
from labkit.lessons.serve.histograms import DUE, SENT, percentiles
from labkit.lessons.serve.rates import many_connections, ratios
from labkit.lessons.serve.runs import BASELINE
from labkit.notebook.tables import times

__all__ = ["compared", "fastest", "hidden", "served"]


def compared(frame: pd.DataFrame, column: str, words: str) -> list[str]:
    """Return one sentence per setting: each way's rate or cost, compared with the baseline's.

    Parameters
    ----------
    frame : from `serve.measure`.
    column : what is compared, such as "requests_per_s".
    words : the same in words: "requests per second".
    """
    found = ratios(frame, column)
    found = found[~found["arm"].str.endswith("(again)")]
    said: dict[str, list[str]] = {}
    for row in found.to_dict("records"):
        where = f"{many_connections(row['connections'])}, {schema.si_bytes(row['message_bytes'])}"
        said.setdefault(where, []).append(f"{row['arm']} {times(row['ratio'], row['low'], row['high'], row['slices'])}")
    return [
        f"{where}: the {words}, compared with {found.attrs['baseline']}: {'; '.join(arms)}."
        for where, arms in said.items()
    ]


def fastest(frame: pd.DataFrame, connections: int, column: str = "requests_per_s") -> str:
    """Return the way that has the most of a column at a number of connections, or "no difference shown".

    Parameters
    ----------
    frame : from `serve.measure`, with "epoll" among the ways.
    """
    found = ratios(frame[frame["connections"] == connections], column, BASELINE)
    found = found[~found["arm"].str.endswith("(again)")]
    ahead = found[found["low"] > 1].sort_values("ratio")
    if len(ahead):
        return str(ahead["arm"].iloc[-1])
    return BASELINE if (found["high"] < 1).all() else "no difference shown"


def served(frame: pd.DataFrame) -> str:
    """Return up to which offered rate the server answered all, and both p99s there and at the highest rate.

    Parameters
    ----------
    frame : from `serve.offered_load`.
    """
    opened = frame[frame["loop"] == "open"].sort_values("share")
    kept = opened[opened["requests_per_s"] >= 0.95 * opened["offered_requests_per_s"]]
    if kept.empty:
        return "Even at the lowest rate, not all that was offered was answered in time."
    last = kept.iloc[-1]
    said = f"At {last['share']:.0%} of the closed loop's rate the server still answers what is offered; "
    said += _two_p99s(last)
    highest = opened.iloc[-1]
    return said if highest["share"] == last["share"] else f"{said} At {highest['share']:.0%} {_two_p99s(highest)}"


def _two_p99s(row: pd.Series) -> str:
    if pd.isna(row["ratio"]):
        return "there were too few requests for a p99: take longer slices."
    due, sent = (schema.si_ns(row[name]) for name in ("p99_ns", "service_p99_ns"))
    apart = times(row["ratio"], row["low"], row["high"], row["slices"])
    return f"the p99 is {due} from when a request was due, and {sent} from when it was sent: {apart}."


def hidden(frame: pd.DataFrame) -> str:
    """Return how many requests of the highest rate took longer than a p99 says that counts from when they were sent.

    Parameters
    ----------
    frame : from `serve.latencies`.
    """
    last = frame[frame["share"] == frame["share"].max()]
    last = last[last["arm"] == last["arm"].iloc[0]]
    (sent,) = percentiles(last[last["clock"] == SENT])["p99_ns"]
    if pd.isna(sent):
        return "There were too few requests for a p99: take longer slices."
    due = last[last["clock"] == DUE]
    longer = due.loc[due["latency_ns"] > sent, "count"].sum() / due["count"].sum()
    return (
        f"Open loop at {due['share'].iloc[0]:.0%} of the closed loop's rate: 1% of the requests took longer than "
        f"{schema.si_ns(sent)} from when they were sent. Of the same requests, {longer:.0%} took longer than that from "
        "when they were due."
    )
