# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: the experiments of its exercises; each call draws the answers anew."""

from __future__ import annotations

import secrets

import pandas as pd

from labkit import schema
from labkit.errors import LabkitError
from labkit.lessons._io.job import Job
from labkit.lessons.uring.operations import run_stop
from labkit.lessons.uring.rings import a_file, ring_steps
from labkit.lessons.uring.runs import PROGRAM, attached, run
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive

__all__ = ["chains", "desk", "heads_and_tails", "who_polls"]

_TRIES = 20


def heads_and_tails() -> pd.DataFrame:
    """Stop the reader at a secret step; exercise 08-q1 asks how many results are in the completion ring, not yet seen.

    Returns a frame with one row: sq_head, sq_tail, cq_head, cq_tail.
    """
    with exclusive("lesson 08: heads and tails"):
        for _ in range(_TRIES):
            depth = secrets.choice((5, 6, 7, 8, 11, 13))
            with a_file(4096 * 3 * depth) as file:
                made = ring_steps(file, 4096, depth, "warm")
            unseen = made["cq_tail"] - made["cq_head"]
            # so that the answer is not that of another question: what was not submitted, what is in flight
            fit = made[(unseen > 1) & (unseen != made["sq_tail"] - made["sq_head"]) & (made["cq_head"] > 1)]
            if len(fit):
                break
        else:
            raise LabkitError("No step was found to ask for.", "run the cell again")
    row = fit.iloc[secrets.randbelow(len(fit))]
    truths.expect("08-q1", int(row["cq_tail"] - row["cq_head"]))
    places = {name: int(row[name]) for name in ("sq_head", "sq_tail", "cq_head", "cq_tail")}
    return schema.frame([places], **provenance())


def who_polls(ios: int = 960) -> pd.DataFrame:
    """Run three programs, A, B and C; exercise 08-q2 asks which of them has its submission ring watched by the kernel.

    Returns a frame with one row per program: arm, ios, calls (of io_uring_enter), by_program (sqes consumed in them).
    """
    ways = {"large": (64, "--one-call"), "small": (8, "--one-call"), "sqpoll": (16, "--sqpoll")}
    order = secrets.SystemRandom().sample(list(ways), len(ways))
    rows = []
    with exclusive("lesson 08: who polls"), attached() as program:
        for arm, way in zip("ABC", order, strict=True):
            batch, option = ways[way]
            job = Job("io_uring", cache="direct", queue_depth=batch, batch=batch, wait_for=batch)
            seen = run("io_engines", [*job.arguments(ios=ios), option], program=program).seen
            rows.append(
                {
                    "arm": arm,
                    "ios": ios,
                    "calls": seen.count("submits", "waits", "wakes"),
                    "by_program": seen.count("sqe consumed", thread=PROGRAM),
                }
            )
        facts = provenance()
    truths.expect("08-q2", "ABC"[order.index("sqpoll")])
    return schema.frame(rows, **facts)


def chains() -> pd.DataFrame:
    """Open, read and close a secret number of files by chains of three requests; exercise 08-q3 asks how many.

    Returns a frame with one row per kind of thread and event that the kernel saw: thread, event, count.
    """
    files, batch = secrets.SystemRandom().randint(41, 199), secrets.choice((8, 16, 32))
    with exclusive("lesson 08: chains"), attached() as program:
        seen = run_stop("files", "io_uring", files, batch, program=program).seen
        facts = provenance()
    truths.expect("08-q3", files)
    return schema.frame(seen.rows(("submits", "waits", "sqe consumed")), **facts)


def desk() -> pd.DataFrame:
    """Run two programs that read, one of them with workers; exercise 08-q4 asks how many of all reads went to a worker.

    Returns a frame with one row per kind of thread and event that the kernel saw: thread, event, count.
    """
    chance = secrets.SystemRandom()
    worked, rest, rows = chance.randint(101, 499), chance.randint(101, 499), []
    with exclusive("lesson 08: who works"), attached() as program:
        for ios, more in ((worked, ("--force-async",)), (rest, ())):
            job = Job("io_uring", cache="warm", queue_depth=4)
            rows += run("io_engines", [*job.arguments(ios=ios), *more], program=program).seen.rows(
                ("submits", "waits", "sqe consumed", "handed to a worker", "ran")
            )
        facts = provenance()
    added = pd.DataFrame(rows).groupby(["thread", "event"], sort=False)["count"].sum().reset_index()
    truths.expect("08-q4", worked)
    return schema.frame(added, **facts)
