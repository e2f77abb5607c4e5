# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: how many calls one read takes, and what it costs, with many reads per call."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pandas as pd

from labkit.errors import check_choice, check_float, check_seed, several
from labkit.lessons._io.job import shared_file
from labkit.lessons.uring.arms import Arm, job_of, per_slice
from labkit.lessons.uring.registration import REGISTERED
from labkit.lessons.uring.runs import PROGRAM, SQPOLL
from labkit.machine.folders import quick
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.stats import trial

__all__ = ["BATCHES", "SUBMITTERS", "measure"]

BATCHES = (1, 2, 4, 8, 16, 32, 64)
SUBMITTERS = {PROGRAM: ("--one-call",), SQPOLL: ("--sqpoll",)}


def measure(
    batch: int | Sequence[int] = BATCHES,
    block_bytes: int = 4096,
    submitter: str | Sequence[str] = PROGRAM,
    register: str = "nothing",
    cache: str = "warm",
    *,
    seconds: float | None = None,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Read blocks through io_uring, one batch per call.

    Parameters
    ----------
    batch : one number or several, 1 to 1024: reads submitted, and waited for, per call.
    block_bytes : 512 bytes to 4 MiB.
    submitter : one or both of "program" (by io_uring_enter) and "iou-sqp" (SQPOLL: a kernel thread watches the ring).
    register : what the kernel gets beforehand: "nothing", "buffers", "files" or "both".
    cache : "warm", "cold" (page cache with the file in it, without) or "direct" (O_DIRECT).
    seconds : how long each slice runs, 0.01 to 60; None is 0.1 (0.02 with LABKIT_QUICK=1).
    slices : unwatched slices per setting, at least 2; None is 6 (2 with LABKIT_QUICK=1). The first setting runs twice.
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per arm and slice: arm, slice, submitter, batch, block_bytes, registered. From the slice, with nothing
    attached: ios, calls (of io_uring_enter, by the program's own count), p50_ns, ios_per_s, program_cpu_ns_per_io,
    kernel_cpu_ns_per_io (of the kernel threads that work for the program), cpu_ns_per_io (both). From one watched run
    of each setting, the same in each of its rows: watched_ios, calls_per_io, submits, waits, wakes (calls of
    io_uring_enter by their purpose), by_program, by_sqpoll (sqes that the kernel consumed, by thread). Where BPF cannot
    be loaded, watched_ios is 0, calls_per_io is NaN, the others are left out, and a warning says so. The first arm runs
    a second time as "NAME (again)". `summary(frame)` makes one row per arm.

    Raises
    ------
    BadArgument : an argument is not allowed; nothing has been started.
    WorkloadUnable : this machine has no io_uring, refuses it, or lacks what was asked of it.
    """
    check_choice("register", register, REGISTERED)
    seconds = check_float("seconds", quick(0.1, 0.02) if seconds is None else seconds, 0.01, 60, "seconds")
    arms = {}
    for who, together in product(several("submitter", submitter), several("batch", batch)):
        check_choice("submitter", who, SUBMITTERS)
        job = job_of(together, block_bytes, cache)
        setting = {"submitter": who, "batch": job.batch, "block_bytes": job.block_bytes, "registered": register}
        arms[f"{who} with batch {job.batch}"] = Arm(job, (*SUBMITTERS[who], *REGISTERED[register]), setting)
    slices, seed = trial.check_slices(slices, 6, 2), check_seed(seed)
    jobs = [arm.job for arm in arms.values()]
    with exclusive("lesson 08: batches", progress) as report, shared_file(jobs) as file:
        return per_slice(arms, file, seconds=seconds, slices=slices, seed=seed, report=report)
