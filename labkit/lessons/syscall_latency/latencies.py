# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: the timer of system calls: a histogram, a sweep over block sizes, a heat map over time.

Rests on the tracepoints syscalls:sys_enter_pread64, sys_exit_pread64 and their like
(include/trace/events/syscalls.h). The workload reads or writes blocks of a file, one call each, and times itself too.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import check_float, check_int, check_seed, several
from labkit.lessons._io.job import Job, shared_file
from labkit.lessons.syscall_latency.timer import TimedRun, flags, timed
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick
from labkit.running.workload import Workload
from labkit.stats import trial
from labkit.stats.histogram import BUCKETS, bucket_middle, p99, quantile

__all__ = ["HEAT_WIDTH", "disturbance", "heat_map", "histogram", "measure"]

MOST_IOS = 1_000_000
HEAT_SLICES = 60
HEAT_WIDTH = 8  # buckets of the timer in one row of the heat map: COARSE_BUCKETS in c/bpf/syscall_latency.c
_UNWATCHED = " (unwatched)"
_PLACES = {"10th percentile": 0.1, "median": 0.5, "90th percentile": 0.9}


def histogram(
    ios: int = 997,
    block_bytes: int = 4096,
    cache: str = "direct",
    operation: str = "read",
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let a program make reads, or writes, one after the other, and time each of its system calls in the kernel.

    Parameters
    ----------
    ios : how many, 1 to a million.
    block_bytes : size of each, 512 bytes to 4 MiB.
    cache : "direct" (O_DIRECT, past the page cache), "cold" or "warm" (page cache without the file, with the file).
    operation : "read" or "write".
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per bucket that is not empty: latency_ns (its middle), count (by the timer), ios (the program's own count
    of all its calls, the same in each row).

    Raises
    ------
    BadArgument : an argument is not allowed; nothing has been started.
    WorkloadError, Missing : the data folder has no room or no O_DIRECT, or this machine has no BPF.
    """
    job = Job(block_bytes=block_bytes, cache=cache, operation=operation)
    ios = check_int("ios", ios, 1, MOST_IOS, "I/Os")
    with exclusive("lesson 06: a histogram", progress) as report, Program("syscall_latency", flags=flags(job)) as timer:
        found = timed(timer, job, ios=ios, tick=lambda gone_s: report(0.5, "running"))
        facts = provenance(command=found.command, lost_events=found.lost, warnings=found.warnings)
    (filled,) = np.nonzero(found.counts)
    rows = {"latency_ns": bucket_middle(filled), "count": found.counts[filled], "ios": found.told["ios"]}
    return schema.frame(rows, **facts)


def measure(
    block_bytes: int | Sequence[int] = (4096, 16384, 65536, 262144, 1048576),
    cache: str | Sequence[str] = ("direct", "warm"),
    operation: str = "read",
    *,
    seconds: float | None = None,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Time the same system call for each block size, with and without the page cache.

    Each setting runs in slices with the timer attached and in slices with nothing attached.

    Parameters
    ----------
    block_bytes : one size or several, 512 bytes to 4 MiB.
    cache : one or several of "direct", "cold", "warm".
    operation : "read" or "write".
    seconds : how long each slice runs, 0.01 to 60; None is 0.05 (0.02 with LABKIT_QUICK=1).
    slices : watched slices per setting, and as many unwatched ones, at least 1; None is 6 (2 with LABKIT_QUICK=1). All
        are interleaved. The first setting runs unwatched twice, as itself and as the A/A arm, for the warnings.
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per setting: operation, cache, block_bytes; from the watched slices ios (the program's own count), count
    (what the timer counted), p25_ns, p50_ns, p75_ns (by the timer, medians over the slices), low_p50_ns, high_p50_ns
    (the 95 % interval of p50_ns), p99_ns (of all calls; NaN below 1000); from the unwatched slices unwatched_p50_ns (by
    the program's own clock, median over the slices), low_unwatched_p50_ns, high_unwatched_p50_ns (its interval),
    ios_per_s, bytes_per_s.
    """
    asked = [(each, size) for each in several("cache", cache) for size in several("block_bytes", block_bytes)]
    jobs = [Job(block_bytes=size, cache=each, operation=operation) for each, size in asked]
    seconds = check_float("seconds", quick(0.05, 0.02) if seconds is None else seconds, 0.01, 60, "seconds")
    slices, seed = trial.check_slices(slices, 6, 2, least=1), check_seed(seed)
    names = {f"{job.cache}, {schema.si_bytes(job.block_bytes)}": job for job in jobs}
    with (
        exclusive("lesson 06: block sizes", progress) as report,
        Program("syscall_latency", flags=flags(jobs[0])) as timer,
        shared_file(jobs) as file,
    ):

        def run(arm: str, tick: Tick) -> TimedRun:
            job = names[arm.removesuffix(trial.AGAIN).removesuffix(_UNWATCHED)]
            return timed(None if _UNWATCHED in arm else timer, job, seconds=seconds, file=file, tick=tick)

        arms = [arm for name in names for arm in (name, name + _UNWATCHED)]
        baseline = arms[1]
        again = baseline + trial.AGAIN
        made = trial.interleaved([*arms, again], run, slices=slices, seed=seed, progress=report, seconds=seconds)
        runs = made.by_arm()
        facts = provenance(
            command=runs[baseline][0].command,
            slices=slices,
            seed=seed,
            lost_events=sum(each.lost for arm in arms for each in runs[arm]),
            warnings=[
                *(said for name in names for said in reduce(add, runs[name]).warnings),
                *trial.unsteady(
                    {arm: [run.program_p50_ns for run in runs[arm]] for arm in (baseline, again)}, baseline
                ),
            ],
        )
    return schema.frame([_row(names[name], runs[name], runs[name + _UNWATCHED]) for name in names], **facts)


def heat_map(
    seconds: float | None = None,
    block_bytes: int = 4096,
    cache: str = "direct",
    operation: str = "read",
    *,
    neighbour: bool = True,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Time a system call again and again, and keep apart when each ended; a neighbour disturbs the middle third.

    Parameters
    ----------
    seconds : how long, 0.2 to 600; None is 3 (0.6 with LABKIT_QUICK=1).
    block_bytes, cache, operation : as of `histogram`.
    neighbour : start a second program in the middle third, which reads 1 MiB blocks from the same disk.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row for each slice of time and each of its buckets that is not empty: elapsed_s (where the slice begins),
    slice_s (its width), latency_ns (the bucket's middle; 8 buckets per octave), count, neighbour ("at work" or
    "away", for most of the slice), ios (the program's own count of all its calls, the same in each row).
    """
    seconds = check_float("seconds", quick(3.0, 0.6) if seconds is None else seconds, 0.2, 600, "seconds")
    job = Job(block_bytes=block_bytes, cache=cache, operation=operation)
    slice_s = seconds / HEAT_SLICES
    with ExitStack() as stack:
        report = stack.enter_context(exclusive("lesson 06: a heat map", progress))
        timer = stack.enter_context(Program("syscall_latency", flags={**flags(job), "SLICES": HEAT_SLICES}))
        other = Workload("io_engines", Job(block_bytes=1 << 20).arguments(seconds=seconds / 3))
        if neighbour:
            stack.enter_context(other)
        began: list[float] = []

        def tick(gone_s: float) -> None:
            report(gone_s / seconds, "running")
            if neighbour and not began and gone_s > seconds / 3:
                other.start()
                began.append(gone_s)

        found = timed(timer, job, seconds=seconds, tick=tick, slice_s=slice_s)
        counts = timer.counters("over_time").reshape(HEAT_SLICES, BUCKETS // HEAT_WIDTH)
        facts = provenance(command=found.command, lost_events=found.lost, warnings=found.warnings)
    slices, buckets = np.nonzero(counts)
    middles_s = (slices + 0.5) * slice_s
    at_work = [any(start <= middle <= start + seconds / 3 for start in began) for middle in middles_s]
    columns = {
        "elapsed_s": slices * slice_s,
        "slice_s": slice_s,
        "latency_ns": bucket_middle(buckets * HEAT_WIDTH, HEAT_WIDTH),
        "count": counts[slices, buckets],
        "neighbour": np.where(at_work, "at work", "away"),
        "ios": found.told["ios"],
    }
    return schema.frame(columns, **facts)


def disturbance(heat: pd.DataFrame) -> pd.DataFrame:
    """Compare the slices of time in which the neighbour was at work with the others.

    Parameters
    ----------
    heat : as `heat_map` returns it.

    Returns one row per place in the distribution: comparison ("10th percentile", "median", "90th percentile"), ratio
    (next to the neighbour / without it; each the median over the slices of time), low, high (95 % interval).
    """
    of_slice = [
        {"neighbour": rows["neighbour"].iloc[0], **_places(rows)} for _, rows in heat.groupby("elapsed_s", sort=True)
    ]
    slices = pd.DataFrame(of_slice)
    with_, without = (slices[slices["neighbour"] == where] for where in ("at work", "away"))
    rows = []
    for place in _PLACES:
        over, under = (trial.median_interval(each[place].tolist()) for each in (with_, without))
        ratio, low, high = trial.quotient(over, under)
        rows.append({"comparison": place, "ratio": ratio, "low": low, "high": high})
    return schema.frame(rows)


def _places(rows: pd.DataFrame) -> dict[str, float]:
    latencies = np.repeat(rows["latency_ns"].to_numpy(), rows["count"].to_numpy())
    return {place: float(np.quantile(latencies, share)) for place, share in _PLACES.items()}


def _row(job: Job, watched_slices: Sequence[TimedRun], free_slices: Sequence[TimedRun]) -> dict[str, Any]:
    watched, free = reduce(add, watched_slices), reduce(add, free_slices)
    p25, p75 = (float(np.median([quantile(run.counts, share) for run in watched_slices])) for share in (0.25, 0.75))
    return {
        "operation": job.operation,
        "cache": job.cache,
        "block_bytes": job.block_bytes,
        "ios": watched.told["ios"],
        "count": int(watched.counts.sum()),
        "p25_ns": p25,
        **trial.interval("p50_ns", [float(quantile(run.counts, 0.5)) for run in watched_slices]),
        "p75_ns": p75,
        "p99_ns": p99(watched.counts),
        **trial.interval("unwatched_p50_ns", [run.program_p50_ns for run in free_slices]),
        "ios_per_s": free.told["ios"] / free.told["elapsed_s"],
        "bytes_per_s": free.told["bytes"] / free.told["elapsed_s"],
    }
