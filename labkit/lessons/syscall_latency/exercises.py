# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: the experiments behind its exercises; what they hide is drawn anew on every run."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack

import pandas as pd

from labkit import schema
from labkit.errors import LabkitError, check_int
from labkit.lessons._io.job import Job
from labkit.lessons.syscall_latency.io_stages import (
    STAGES,
    Followed,
    breakdown,
    following,
    stages,
    stages_program,
    watching_ios,
)
from labkit.lessons.syscall_latency.latencies import histogram
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.files import leave_cache, random_file
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.workload import Workload

__all__ = ["cached", "mystery", "slowest_stage", "suspects"]

_TRIES = 5


def mystery() -> pd.DataFrame:
    """Return the histogram of a number of reads that only this process knows; exercise 06-q1 asks for it."""
    reads = secrets.SystemRandom().randint(401, 1999)
    made = histogram(reads, cache="warm").drop(columns="ios")
    truths.expect("06-q1", reads)
    made.attrs.pop("command")
    return made


def cached(ios: int = 61) -> pd.DataFrame:
    """Read blocks of which a random number are not in the page cache; exercise 06-q2 asks for how many.

    This process reads them itself, with pread(2). Returns one row per read: offset_bytes, latency_ns, block_requests
    and the `STAGES`.
    """
    ios = check_int("ios", ios, 11, 997, "I/Os")
    chance = secrets.SystemRandom()
    present = chance.sample(range(ios), chance.randint(2, ios - 2))
    job = Job(cache="warm")
    with exclusive("lesson 06: the page cache"), stages_program(job) as program, run_folder() as folder:
        path = random_file(folder / "blocks", ios * job.block_bytes)
        with path.open("rb") as file:
            leave_cache(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # no read-ahead
            for block in present:
                os.pread(file.fileno(), job.block_bytes, block * job.block_bytes)
            with following(program, ios) as found, watching_ios(program, os.getpid()):
                for block in range(ios):
                    os.pread(file.fileno(), job.block_bytes, block * job.block_bytes)
        made = _frame(found, command="pread")
    truths.expect("06-q2", int((made["block_requests"] > 0).sum()))
    return made.drop(columns="pid")


def suspects(processes: int = 4, ios: int = 61) -> pd.DataFrame:
    """Start processes that read at the same time; all but one find their file in the page cache.

    Parameters
    ----------
    processes : how many, 2 to 12.
    ios : reads of each, 11 to 997.

    Returns a frame with one row per read: pid, offset_bytes, latency_ns, block_requests and the `STAGES`. Exercise
    06-q3 asks for the process that waits for the disk.
    """
    processes = check_int("processes", processes, 2, 12, "processes")
    ios = check_int("ios", ios, 11, 997, "I/Os")
    guilty = secrets.randbelow(processes)
    with ExitStack() as stack:
        stack.enter_context(exclusive("lesson 06: suspects"))
        caches = ["cold" if number == guilty else "warm" for number in range(processes)]
        runs = [stack.enter_context(Workload("io_engines", Job(cache=each).arguments(ios=ios))) for each in caches]
        program = stack.enter_context(stages_program(Job()))
        with following(program, processes * ios) as found, watching_ios(program, *(run.pid for run in runs)):
            for run in runs:
                run.start()
            for run in runs:
                run.result()
            pid = runs[guilty].pid
        made = _frame(found, command=runs[0].command[0])
    truths.expect("06-q3", pid)
    return made


def slowest_stage() -> pd.DataFrame:
    """Return the stages of reads whose way to the file and size are drawn at random; 06-q4 asks where the time went.

    A run in which a few slow reads change the answer is thrown away: the mean over all reads and the mean over the
    middle half name the same stage.

    Raises
    ------
    LabkitError : the machine was so unsteady that every run was thrown away.
    """
    drawn = secrets.SystemRandom()
    for _ in range(_TRIES):
        cache, size = drawn.choice(("direct", "cold", "warm")), drawn.choice((4096, 16384, 65536))
        made = stages(size, cache=cache)
        parts = breakdown(made).set_index("stage")["mean_ns"]
        slowest = str(made[list(STAGES)].mean().idxmax())
        if slowest == parts.idxmax():
            break
    else:
        raise LabkitError("No run was steady enough to ask about.", "run the cell again when the machine is less busy")
    truths.expect("06-q4", slowest)
    made = made.drop(columns=["cache", "operation"])
    made.attrs.pop("command")
    return made


def _frame(found: Followed, command: str) -> pd.DataFrame:
    made = found.ios.assign(latency_ns=found.ios["returned_ns"] - found.ios["entered_ns"])
    columns = ["pid", "offset_bytes", "latency_ns", "block_requests", *STAGES]
    return schema.frame(made[columns], **provenance(command=command, lost_events=found.lost))
