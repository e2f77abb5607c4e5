# SPDX-License-Identifier: Apache-2.0
"""Lesson 10: SQLite and Redis, with the settings that decide how often they wait for the disk."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_choice
from labkit.lessons.capstone import servers, sqlite, transactions
from labkit.lessons.capstone.plots import plot
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel
from labkit.notebook.tables import times

__all__ = ["panel"]

SUBJECTS = ("SQLite", "Redis")
SIZES = [100, 1024, 4096, 16384, 65536]
BATCHES = [1, 4, 16, 64, 256]


def panel(subject: str = "SQLite") -> Panel:
    """Return a panel of lesson 10: "SQLite" or "Redis"."""
    check_choice("subject", subject, SUBJECTS)
    if subject == "Redis":
        return Panel(
            "Redis, call by call",
            controls={
                "pipeline": controls.several("pipeline", [1, 4, 16, 64], [1, 16]),
                "clients": controls.several("clients", [1, 10, 50, 200], [50]),
                "append_only": controls.several("append_only", servers.APPEND_ONLY, ["off"]),
                "requests": controls.whole("requests", 10_000, 100, 1_000_000),
            },
            measure=servers.measure,
            plot=plot,
            finding=_requests,
            table=servers.summary,
        )
    return Panel(
        "SQLite, call by call",
        controls={
            "journal": controls.several("journal", sqlite.JOURNALS, ["delete", "wal"], label="journal modes"),
            "synchronous": controls.several("synchronous", sqlite.SYNCHRONOUS, ["full"]),
            "rows_per_transaction": controls.several("rows_per_transaction", BATCHES, [1]),
            "row_bytes": controls.choose("row_bytes", SIZES, 4096),
            "transactions": controls.whole("transactions", 23, 1, 10_000),
        },
        measure=transactions.measure,
        plot=plot,
        finding=_transactions,
        table=_sums,
    )


def _sums(frame: pd.DataFrame) -> pd.DataFrame:
    return transactions.summary(frame).drop(columns=["stored_rows", "calls_per_transaction"])


def _transactions(frame: pd.DataFrame) -> str:
    sums = transactions.summary(frame)
    ordered = sums.sort_values("ns_per_row").to_dict("records")
    fast, slow = ordered[0], ordered[-1]
    if len(ordered) == 1:
        took = schema.si_ns(fast["ns_per_transaction"])
        return f"{fast['arm']}: {_syncs(fast)} per transaction, which takes {took}."
    found = transactions.ratios(frame, fast["arm"]).set_index("arm").loc[slow["arm"]]
    factor = times(found["ratio"], found["low"], found["high"], found["slices"])
    return (
        f"{slow['arm']}: {_syncs(slow)} per transaction. {fast['arm']}: {_syncs(fast)}. "
        f"Storing a row takes {factor} as long the first way."
    )


def _syncs(row: Mapping[Hashable, Any]) -> str:
    return f"{row['syncs_per_transaction']:.3g} syncs"


def _requests(frame: pd.DataFrame) -> str:
    said = [
        f"{row['arm']}: {row['calls_per_request']:.2g} calls and {row['syncs_per_request']:.2g} syncs per request, "
        f"{schema.si_count(row['requests_per_s'])} requests per second."
        for row in servers.summary(frame).sort_values("requests_per_s").to_dict("records")
    ]
    return " ".join(dict.fromkeys([said[0], said[-1]]))
