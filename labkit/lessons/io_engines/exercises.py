# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: the experiments behind its exercises; what they hide is drawn anew at each call."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar

import pandas as pd

from labkit import schema
from labkit.errors import WorkloadUnable
from labkit.lessons._io.job import Job
from labkit.lessons.io_engines.blocking import call_rows
from labkit.lessons.io_engines.runs import attached, run_job
from labkit.lessons.io_engines.timelines import lanes_of
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder

__all__ = ["batches", "deep", "law", "who_blocks"]

T = TypeVar("T")

CALLED = ("sync", "libaio", "io_uring")  # A, B and C
_SUBMITS = {"pread64", "io_submit", "io_uring_enter (submit)"}


def who_blocks(ios: int = 211) -> pd.DataFrame:
    """Read a cold file by each engine, called A, B and C; exercise 07-q1 asks which of them is libaio.

    Returns a frame with one row per kind of call: arm, phase ("submit" or "wait"), count, slept.
    """
    engines = secrets.SystemRandom().sample(CALLED, len(CALLED))
    rows = []
    with exclusive("lesson 07: who blocks"), attached() as program:
        for arm, name in zip("ABC", engines, strict=True):
            job = Job(name, cache="cold", queue_depth=1 if name == "sync" else 8)
            for row in call_rows(run_job(job, ios=ios, program=program)):
                phase = "submit" if row["call"] in _SUBMITS else "wait"
                rows.append({"arm": arm, "phase": phase, "count": row["count"], "slept": row["slept"]})
        facts = provenance()
    truths.expect("07-q1", "ABC"[engines.index("libaio")])
    return schema.frame(rows, **facts, ios=ios)


def deep() -> pd.DataFrame:
    """Return the time line of an engine with a secret queue depth; exercise 07-q2 asks for it.

    Returns a frame with one row per I/O: engine (its name is hidden), submit_ns, complete_ns, latency_ns.
    """
    depth = secrets.SystemRandom().randint(3, 24)
    with exclusive("lesson 07: a hidden depth"), run_folder() as folder:
        made, _ = _asynchronous(lambda name: lanes_of(Job(name, queue_depth=depth), 10 * depth, folder))
        facts = provenance()
    truths.expect("07-q2", depth)
    return schema.frame(made.drop(columns=["slot", "offset_bytes"]).assign(engine="?"), **facts)


def batches(ios: int = 960) -> pd.DataFrame:
    """Submit I/Os in batches of a secret size; exercise 07-q3 asks how many are in one.

    Returns a frame with one row per kind of call: call, ios (of all), count, slept.
    """
    batch = secrets.choice((2, 4, 8, 16))
    with exclusive("lesson 07: batches"), attached() as program:
        job = {name: Job(name, queue_depth=32, batch=batch, wait_for=batch) for name in ("io_uring", "libaio")}
        made = _asynchronous(lambda name: run_job(job[name], ios=ios, program=program))
        facts = provenance()
    truths.expect("07-q3", batch)
    return schema.frame(pd.DataFrame(call_rows(made))[["call", "ios", "count", "slept"]], **facts)


def law() -> pd.DataFrame:
    """Keep a number of I/Os in flight and report how many end per second; exercise 07-q4 asks how long one takes.

    Returns a frame with one row: queue_depth, ios, ios_per_s.
    """
    depth = secrets.choice((4, 8, 16))
    with exclusive("lesson 07: Little's law"):
        made = _asynchronous(lambda name: run_job(Job(name, queue_depth=depth), ios=200 * depth)).report
        facts = provenance()
    truths.expect("07-q4", made["latency_sum_ns"] / made["ios"] / 1000)
    row = {"queue_depth": depth, "ios": made["ios"], "ios_per_s": made["ios"] / made["elapsed_s"]}
    return schema.frame([row], **facts)


def _asynchronous(run: Callable[[str], T]) -> T:
    """Run with io_uring, or with libaio where this machine refuses io_uring."""
    try:
        return run("io_uring")
    except WorkloadUnable:
        return run("libaio")
