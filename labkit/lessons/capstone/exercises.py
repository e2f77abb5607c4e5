# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 10: each draws a number at random that a program in the kernel reveals."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.lessons._judge.tool import watcher
from labkit.lessons.capstone.arms import call_table
from labkit.lessons.capstone.sqlite import DATABASE, JOURNALS, SqliteSettings, application
from labkit.lessons.capstone.transactions import measure
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.workload import Workload

__all__ = ["count_transactions", "log_size", "which_journal", "who_commits"]

ROWS = 60
BATCHES = (10, 12, 15, 20)


def which_journal() -> pd.DataFrame:
    """Measure the four journal modes under the names A to D; exercise 10-q1 asks which of them is "persist".

    Returns one row per kind of call: arm, call, count, calls_per_transaction.
    """
    letters = dict(zip(random.SystemRandom().sample(JOURNALS, len(JOURNALS)), "ABCD", strict=True))
    made = measure(JOURNALS, transactions=23, slices=2)
    truths.expect("10-q1", letters["persist"])
    calls = call_table(made)
    kept = calls.assign(arm=calls["arm"].str.partition("/")[0].map(letters)).groupby(["arm", "call"], as_index=False)
    table = schema.frame(kept[["count", "calls_per_transaction"]].sum())
    table.attrs = {name: fact for name, fact in made.attrs.items() if name not in ("baseline", "command")}
    return table


def count_transactions(watch: object) -> str:
    """Store rows in a secret number of transactions while a learner's program watches; for exercise 10-q2.

    Parameters
    ----------
    watch : the program of a `%%bpf` cell, attached, which includes labkit.h.

    Returns what happened, in words.
    """
    if isinstance(program := watcher(watch), str):
        return program
    transactions = random.SystemRandom().randint(31, 97)
    _watch(program, [SqliteSettings("delete", "full", transactions)])
    truths.expect("10-q2", transactions)
    return "SQLite has stored some rows: journal mode delete, synchronous full. What did your program count?"


def who_commits(watch: object) -> str:
    """Let four processes store 60 rows each, one of them row by row; exercise 10-q3 asks which process that is.

    Parameters and result are as of `count_transactions`.
    """
    if isinstance(program := watcher(watch), str):
        return program
    batches = [1, *random.SystemRandom().sample(BATCHES, 3)]
    random.SystemRandom().shuffle(batches)
    pids = _watch(program, [SqliteSettings("delete", "full", ROWS // batch, batch) for batch in batches])
    truths.expect("10-q3", pids[batches.index(1)])
    return f"The processes {', '.join(map(str, pids))} have stored {ROWS} rows each. Who committed after each row?"


def log_size(watch: object) -> str:
    """Store rows of a secret size with a write-ahead log that is left as it is; exercise 10-q4 asks for its size.

    Parameters and result are as of `count_transactions`.
    """
    if isinstance(program := watcher(watch), str):
        return program
    chance = random.SystemRandom()
    job = SqliteSettings("wal", "full", chance.randint(23, 61), row_bytes=chance.randint(1000, 9000))
    sizes: list[int] = []
    _watch(program, [job], "--leave-open", look=lambda own: sizes.append((own / f"{DATABASE}-wal").stat().st_size))
    truths.expect("10-q4", sizes[0])
    return "SQLite has written its log, and was ended before it could clean up. How many bytes did it write?"


# -- inside --------------------------------------------------------------------------------------


def _watch(
    program: Program, jobs: list[SqliteSettings], *more: str, look: Callable[[Path], None] | None = None
) -> list[int]:
    """Run all jobs at the same time, each in its own process and folder, watched; return their process ids."""
    python, *options = application()
    with exclusive("lesson 10: an exercise"), run_folder() as folder, ExitStack() as stack:
        runs = []
        for number, job in enumerate(jobs):
            own = folder / str(number)
            own.mkdir()
            runs.append(stack.enter_context(Workload(Path(python), [*options, *job.arguments(own), *more])))
        program.clear(*(name for name in program.map_names if not name.startswith("labkit_")))
        pids = [run.pid for run in runs]
        program.aim(pid=pids)
        for run in runs:
            run.start()
        for run in runs:
            run.result()
        if look is not None:
            look(folder / "0")
    return pids
