# SPDX-License-Identifier: Apache-2.0
"""Lesson 10: SQLite stores rows. How long does that take, and by which system calls, how many, how long?

Times that are compared come from slices that nothing watches; what is in a transaction comes from a watched slice.
What its journal is for: https://sqlite.org/atomiccommit.html and https://sqlite.org/wal.html.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import product
from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import check_seed, several
from labkit.lessons.capstone.arms import (
    TRANSACTION,
    arm_ratios,
    call_table,
    is_watched,
    plain,
    planned,
    slice_frame,
)
from labkit.lessons.capstone.calls import NO_FILE, SYNCS, call_rows
from labkit.lessons.capstone.sqlite import SqliteRun, SqliteSettings, check_room, memory_warnings, run_once
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, Tick
from labkit.stats import trial

__all__ = ["measure", "ratios", "steadiness", "summary"]


def measure(
    journal: str | Sequence[str] = ("delete", "wal"),
    synchronous: str | Sequence[str] = "full",
    rows_per_transaction: int | Sequence[int] = 1,
    *,
    transactions: int | None = None,
    row_bytes: int = 4096,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let SQLite store rows: compare its times unwatched, and count and time every system call in a watched run.

    Parameters
    ----------
    journal : SQLite's journal_mode: "delete", "truncate", "persist", "wal"; one or several.
    synchronous : "off", "normal", "full", "extra": how careful SQLite is about power cuts; one or several.
    rows_per_transaction : rows that are committed together, 1 to 10,000; one number or several.
    transactions : in each slice, 1 to 100,000; None is 53 (23 with LABKIT_QUICK=1).
    row_bytes : size of a row, 1 to 1 MiB.
    slices : of each arm, 2 to 1000, interleaved, unwatched and as many watched; the first arm runs unwatched a second
        time in each round. None is 8 (2 with LABKIT_QUICK=1).
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per slice: arm, journal, synchronous, rows_per_transaction, watched, slice, call ("(transaction)"), file
    ("–"), count (of transactions), total_ns, ns_per_transaction, ns_per_row, mean_ns, transactions, rows, stored_rows
    (by SQLite's own shell; 0 without it).
    And one row per kind of call on a kind of file, in each watched slice: call, file (database, journal, log, log's
    index, folder, or "–"), count, calls_per_transaction, total_ns, ns_per_transaction, mean_ns (of a call), p50_ns,
    p99_ns (of at least 1000 calls), written_bytes (of calls that write).
    `summary` makes one row per arm of it, `ratios` compares the arms' times, and `call_table` adds up the calls.

    Raises
    ------
    BadArgument : an argument is not allowed; nothing has been started.
    Missing : BPF cannot be loaded, or no Python here has SQLite.
    LabkitError : the data folder is full, or may not be written.
    """
    transactions = quick(53, 23) if transactions is None else transactions
    asked = product(
        several("journal", journal),
        several("synchronous", synchronous),
        several("rows_per_transaction", rows_per_transaction),
    )
    made = (SqliteSettings(mode, care, transactions, batch, row_bytes) for mode, care, batch in asked)
    arms = {settings.name: settings for settings in made}
    slices, seed = trial.check_slices(slices, 8, 2), check_seed(seed)
    with exclusive("lesson 10: SQLite", progress) as report, Program("capstone") as program, run_folder() as folder:
        for settings in arms.values():
            check_room(folder, settings)

        def run(arm: str, tick: Tick) -> SqliteRun:
            return run_once(arms[plain(arm)], folder, tick, watch=program if is_watched(arm) else None)

        taken = trial.interleaved(planned(list(arms)), run, slices=slices, seed=seed, progress=report)
        last = taken.taken[-1].value
        facts = provenance(
            command=last.command,
            slices=slices,
            sqlite=last.sqlite,
            row_bytes=row_bytes,
            lost_events=sum(each.value.lost_events for each in taken.taken),
            warnings=memory_warnings(folder) + _without_shell(),
        )
    return slice_frame(taken, list(arms), lambda arm, run: _rows(arms[arm], run), **facts)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what `measure` found, one row per arm.

    Columns: arm, transactions, rows, stored_rows (of all its slices), ns_per_transaction, ns_per_row (medians of the
    unwatched slices), calls_per_transaction, syncs_per_transaction, bytes_per_transaction, sync_share (of the time of
    the watched slices).
    """
    rows = []
    calls = call_table(frame)
    for arm, runs in frame[frame["call"] == TRANSACTION].groupby("arm", sort=False):
        if str(arm).endswith(trial.AGAIN):
            continue
        unwatched, watched = runs[~runs["watched"]], runs[runs["watched"]]
        own = calls[calls["arm"] == arm]
        syncs = own[own["call"].isin(SYNCS)]
        rows.append(
            {
                "arm": arm,
                **{name: runs[name].sum() for name in ("transactions", "rows", "stored_rows")},
                **{name: unwatched[name].median() for name in ("ns_per_transaction", "ns_per_row")},
                "calls_per_transaction": own["calls_per_transaction"].sum(),
                "syncs_per_transaction": syncs["calls_per_transaction"].sum(),
                "bytes_per_transaction": own["written_bytes"].sum() / watched["transactions"].sum(),
                "sync_share": syncs["share"].sum(),
            }
        )
    return schema.derived(rows, frame)


def ratios(frame: pd.DataFrame, baseline: str | None = None) -> pd.DataFrame:
    """Return the time of a row in each arm, times that in `baseline` (None: the first arm), with its 95 % interval."""
    return arm_ratios(frame, "ns_per_row", baseline)


def steadiness(found: pd.DataFrame) -> str:
    """Return one sentence: by how much the first arm, which ran twice in each round, differed from itself.

    Parameters
    ----------
    found : as `ratios` returns it.
    """
    again = found[found["arm"] == found.attrs["baseline"] + trial.AGAIN].iloc[0]
    ratio, low, high = again["ratio"], again["low"], again["high"]
    name, span = found.attrs["baseline"], "95 % interval" if again["slices"] >= trial.ENOUGH else "range"
    reach = f"{low:.2f} to {high:.2f}, {span}"
    if not low <= 1 <= high:
        said = f"{name} differed from itself by a factor of {ratio:.2f} ({reach}): the disk was restless."
    elif max(high - 1, 1 - low) > trial.WIDE:
        said = f"{name} may differ from itself by any factor within {reach}: the disk was restless."
    else:
        return f"{name} agreed with itself, by a factor of {ratio:.2f} ({reach}): the disk was steady."
    return f"{said} Believe only differences that are much larger than that."


# -- inside --------------------------------------------------------------------------------------


def _without_shell() -> list[str]:
    return [] if shutil.which("sqlite3") else ["sqlite3 is not installed: no other program counted the rows."]


def _rows(settings: SqliteSettings, run: SqliteRun) -> list[dict[str, Any]]:
    """Return the row of a whole slice, and those of the calls in it if it was watched."""
    total_ns = round(1e9 * run.elapsed_s)
    whole = {
        "call": TRANSACTION,
        "file": NO_FILE,
        "count": run.transactions,
        "total_ns": total_ns,
        "ns_per_transaction": total_ns / run.transactions,
        "ns_per_row": total_ns / run.rows,
        "mean_ns": total_ns / run.transactions,
    }
    kept = {name: getattr(settings, name) for name in ("journal", "synchronous", "rows_per_transaction")}
    kept |= {name: getattr(run, name) for name in ("transactions", "rows", "stored_rows")}
    return [kept | whole, *(kept | row for row in call_rows(run.calls, "transaction", run.transactions))]
