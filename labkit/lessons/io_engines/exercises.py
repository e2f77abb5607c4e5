"""Lesson 07: the experiments behind its exercises; what they hide is drawn afresh at each call."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar

import pandas as pd

from labkit import schema
from labkit.errors import WorkloadUnable
from labkit.lessons._io.job import ENGINES, Job
from labkit.lessons.io_engines.costs import call_rows, lanes_of
from labkit.lessons.io_engines.watched import Runner, runner
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder

__all__ = ["deep", "law", "parcels", "who_blocks"]

T = TypeVar("T")

_HANDS_OVER = {"pread64", "io_submit", "io_uring_enter (hand over)"}


def who_blocks(ios: int = 211) -> pd.DataFrame:
    """Read a cold file by each engine, called A, B and C; exercise 07-q1 asks which of them is libaio.

    Returns a frame with a row for each kind of call: arm, phase ("hand over" or "wait"), count, slept.
    """
    engines = secrets.SystemRandom().sample(ENGINES, len(ENGINES))
    rows = []
    with exclusive("lesson 07: who blocks"), runner() as run:
        for arm, name in zip("ABC", engines, strict=True):
            outcome = run.run(Job(name, cache="cold", queue_depth=1 if name == "sync" else 8), ios=ios)
            for row in call_rows(outcome):
                phase = "hand over" if row["call"] in _HANDS_OVER else "wait"
                rows.append({"arm": arm, "phase": phase, "count": row["count"], "slept": row["slept"]})
        facts = provenance()
    truths.expect("07-q1", "ABC"[engines.index("libaio")])
    return schema.frame(rows, **facts, ios=ios)


def deep() -> pd.DataFrame:
    """Return the time line of an engine with a secret queue depth; exercise 07-q2 asks for it.

    Returns a frame with a row an I/O: engine (its name is hidden), submit_ns, complete_ns, latency_ns.
    """
    depth = secrets.SystemRandom().randint(3, 24)
    with exclusive("lesson 07: a hidden depth"), run_folder() as folder:
        made, _ = _asynchronous(lambda name: lanes_of(Runner(None), Job(name, queue_depth=depth), 10 * depth, folder))
        facts = provenance()
    truths.expect("07-q2", depth)
    return schema.frame(made.drop(columns=["slot", "offset_bytes"]).assign(engine="?"), **facts)


def parcels(ios: int = 960) -> pd.DataFrame:
    """Hand I/Os over in parcels of a secret size; exercise 07-q3 asks how many are in one.

    Returns a frame with a row for each kind of call: call, ios (of all), count, slept.
    """
    batch = secrets.choice((2, 4, 8, 16))
    with exclusive("lesson 07: parcels"), runner() as run:
        job = {name: Job(name, queue_depth=32, batch=batch, wait_for=batch) for name in ("io_uring", "libaio")}
        outcome = _asynchronous(lambda name: run.run(job[name], ios=ios))
        facts = provenance()
    truths.expect("07-q3", batch)
    return schema.frame(pd.DataFrame(call_rows(outcome))[["call", "ios", "count", "slept"]], **facts)


def law() -> pd.DataFrame:
    """Keep a number of I/Os under way and tell how many end in a second; exercise 07-q4 asks how long one takes.

    Returns a frame with one row: queue_depth, ios, ios_per_s.
    """
    depth = secrets.choice((4, 8, 16))
    with exclusive("lesson 07: Little's law"):
        told = _asynchronous(lambda name: Runner(None).run(Job(name, queue_depth=depth), ios=200 * depth)).told
        facts = provenance()
    truths.expect("07-q4", told["latency_sum_ns"] / told["ios"] / 1000)
    row = {"queue_depth": depth, "ios": told["ios"], "ios_per_s": told["ios"] / told["elapsed_s"]}
    return schema.frame([row], **facts)


def _asynchronous(run: Callable[[str], T]) -> T:
    """Run with io_uring, or with libaio where this machine refuses io_uring."""
    try:
        return run("io_uring")
    except WorkloadUnable:
        return run("libaio")
