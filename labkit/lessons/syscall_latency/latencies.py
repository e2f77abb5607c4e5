"""Lesson 06: the timer of system calls.

Rests on the raw tracepoints sys_enter and sys_exit (include/trace/events/syscalls.h); the workload reads or writes
blocks of a file, one call each, and times itself too. Where the time goes is in `syscall_latency_stages.py`, what
other witnesses say and what watching costs in `syscall_latency_witnesses.py`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import check_float, check_int, check_seed, several
from labkit.lessons._io.job import Job, shared_file
from labkit.lessons.syscall_latency.timer import Timed, flags, timed
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, silent
from labkit.running.workload import Workload
from labkit.stats import trial
from labkit.stats.histogram import BUCKETS, Counts, bucket_low, quantile

__all__ = ["heat_map", "histogram", "measure", "mystery"]

MOST_IOS = 1_000_000
HEAT_SLICES = 60
HEAT_BUCKETS = BUCKETS // 8  # COARSE_BUCKETS in c/bpf/syscall_latency.c


def histogram(
    ios: int = 997,
    block_bytes: int = 4096,
    cache: str = "direct",
    operation: str = "read",
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let a program do some reads, or writes, one after the other, and time each of its system calls in the kernel.

    Parameters
    ----------
    ios : how many, 1 to a million.
    block_bytes : size of each, 512 bytes to 4 MiB.
    cache : "direct" (O_DIRECT, past the page cache), "cold" or "warm" (page cache without, with the file in it).
    operation : "read" or "write".
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a bucket in which there is something: latency_ns (its middle), count. `attrs` carries `ios`, what the
    program counted itself, and `program_p50_ns`, what it measured.

    Raises
    ------
    BadArgument : an argument is not allowed; nothing has been started.
    WorkloadError, Missing : the data folder has no room or no O_DIRECT, or the machine no BPF.
    """
    job = Job(block_bytes=block_bytes, cache=cache, operation=operation)
    ios = check_int("ios", ios, 1, MOST_IOS, "I/Os")
    report = progress or silent
    with exclusive("lesson 06: a histogram", report), Program("syscall_latency", flags=flags(job)) as program:
        found = timed(program, job, ios=ios, tick=lambda gone_s: report(0.5, "running"))
    report(1.0, "done")
    facts = provenance(command=found.command, ios=found.told["ios"], program_p50_ns=found.program_p50_ns)
    return schema.frame(_rows(found.counts), **facts)


def measure(
    block_bytes: int | Sequence[int] = (4096, 16384, 65536, 262144, 1048576),
    cache: str | Sequence[str] = ("direct", "warm"),
    operation: str = "read",
    *,
    seconds: float | None = None,
    slices: int = 2,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Time the same system call for each block size, with and without the page cache.

    Parameters
    ----------
    block_bytes : one size or several, 512 bytes to 4 MiB.
    cache : one or several of "direct", "cold", "warm".
    operation : "read" or "write".
    seconds : how long each slice runs, 0.01 to 60; None is 0.1 (0.02 in a hurry).
    slices : of each setting, 1 to 100; all settings are interleaved, and the histograms of one are added up.
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a setting: operation, cache, block_bytes, ios (the program's own count), count (what was timed), p25_ns,
    p50_ns, p75_ns, p99_ns (by the timer), program_p50_ns (by the program), ios_per_s, bytes_per_s.
    """
    asked = [(each, size) for each in several("cache", cache) for size in several("block_bytes", block_bytes)]
    jobs = [Job(block_bytes=size, cache=each, operation=operation) for each, size in asked]
    seconds = check_float("seconds", quick(0.1, 0.02) if seconds is None else seconds, 0.01, 60, "seconds")
    slices = check_int("slices", slices, 1, 100, "slices")
    report, seed = progress or silent, check_seed(seed)
    names = {f"{job.cache}, {schema.si_bytes(job.block_bytes)}": job for job in jobs}
    made: dict[str, Timed] = {}
    with (
        exclusive("lesson 06: block sizes", report),
        Program("syscall_latency", flags=flags(jobs[0])) as program,
        shared_file(jobs) as file,
    ):
        plan = trial.order(list(names), slices, seed)
        for done, (_, name) in enumerate(plan):

            def tick(gone_s: float, done: int = done, name: str = name) -> None:
                report((done + min(gone_s / seconds, 1)) / len(plan), name)

            program.clear("started", "latency")
            found = timed(program, names[name], seconds=seconds, file=file, tick=tick)
            made[name] = made[name] + found if name in made else found
    report(1.0, "done")
    facts = provenance(command=made[plan[-1][1]].command, slices=slices, seed=seed)
    return schema.frame([_row(names[name], made[name]) for name in names], **facts)


def heat_map(
    seconds: float | None = None,
    block_bytes: int = 4096,
    cache: str = "direct",
    operation: str = "read",
    *,
    neighbour: bool = True,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Time a system call over and over, and keep apart when each ended; a neighbour disturbs the middle third.

    Parameters
    ----------
    seconds : how long, 0.2 to 600; None is 3 (0.6 in a hurry).
    block_bytes, cache, operation : as of `histogram`.
    neighbour : start a second program in the middle third, which reads 1 MiB blocks from the same disk.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row for each slice of time and bucket in which there is something: elapsed_s (where the slice begins),
    latency_ns (the bucket's middle; 8 buckets per octave), count. `attrs` carries slice_s, ios, and neighbour_s: from
    when to when the neighbour worked, or an empty list.
    """
    seconds = check_float("seconds", quick(3.0, 0.6) if seconds is None else seconds, 0.2, 600, "seconds")
    job = Job(block_bytes=block_bytes, cache=cache, operation=operation)
    report, slice_s = progress or silent, seconds / HEAT_SLICES
    with ExitStack() as stack:
        stack.enter_context(exclusive("lesson 06: a heat map", report))
        program = stack.enter_context(Program("syscall_latency", flags={**flags(job), "SLICES": HEAT_SLICES}))
        other = Workload("io_engines", Job(block_bytes=1 << 20).arguments(seconds=seconds / 3))
        if neighbour:
            stack.enter_context(other)
        began: list[float] = []

        def tick(gone_s: float) -> None:
            report(gone_s / seconds, "running")
            if neighbour and not began and gone_s > seconds / 3:
                other.start()
                began.append(gone_s)

        found = timed(program, job, seconds=seconds, tick=tick, slice_s=slice_s)
        counts = program.counters("over_time").reshape(HEAT_SLICES, HEAT_BUCKETS)
    report(1.0, "done")
    slices, buckets = np.nonzero(counts)
    columns = {"elapsed_s": slices * slice_s, "latency_ns": _middle(buckets * 8, 8), "count": counts[slices, buckets]}
    worked = [began[0], began[0] + seconds / 3] if began else []
    facts = provenance(command=found.command, ios=found.told["ios"], slice_s=slice_s, neighbour_s=worked)
    return schema.frame(columns, **facts)


def mystery() -> pd.DataFrame:
    """Return the histogram of a number of reads that only this process knows; exercise 06-q1 asks for it."""
    reads = secrets.SystemRandom().randint(401, 1999)
    made = histogram(reads, cache="warm")
    truths.expect("06-q1", reads)
    made.attrs = {name: fact for name, fact in made.attrs.items() if name not in ("ios", "command")}
    return made


def _row(job: Job, found: Timed) -> dict[str, Any]:
    told, (p25, p50, p75, p99) = found.told, quantile(found.counts, [0.25, 0.5, 0.75, 0.99])
    return {
        "operation": job.operation,
        "cache": job.cache,
        "block_bytes": job.block_bytes,
        "ios": told["ios"],
        "count": found.counts.sum(),
        "p25_ns": p25,
        "p50_ns": p50,
        "p75_ns": p75,
        "p99_ns": p99,
        "program_p50_ns": found.program_p50_ns,
        "ios_per_s": told["ios"] / told["elapsed_s"],
        "bytes_per_s": told["bytes"] / told["elapsed_s"],
    }


def _rows(counts: Counts) -> dict[str, Any]:
    (filled,) = np.nonzero(counts)
    return {"latency_ns": _middle(filled, 1), "count": counts[filled]}


def _middle(buckets: npt.NDArray[Any], width: int) -> npt.NDArray[np.int64]:
    """Return the middle of each run of `width` buckets."""
    return (bucket_low(buckets) + bucket_low(buckets + width) - 1) // 2
