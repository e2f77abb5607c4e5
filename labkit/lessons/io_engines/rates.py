# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: rates, latencies and costs of the engines, over block sizes, depths and ways to the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_choices, check_float, check_int, check_seed, several
from labkit.lessons._io.job import ALL_ENGINES, CACHES, ENGINES, Job, shared_file
from labkit.lessons.io_engines.runs import JobRun, attached, batch_of, depth_of, doubts, refusal, run_job, total
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, part
from labkit.stats import trial
from labkit.stats.histogram import p99, quantile

__all__ = ["WATCHED", "file_sizes", "measure"]

LARGE_SECTOR_BYTES = 4096
WATCHED = ("calls_per_io", "sleeps_per_io")  # columns from watched slices; all others come from unwatched ones
WATCHED_SLICES = 2


def measure(
    engine: str | Sequence[str] = ENGINES,
    block_bytes: int | Sequence[int] = 4096,
    queue_depth: int | Sequence[int] = 32,
    cache: str | Sequence[str] = "direct",
    operation: str = "read",
    order: str = "random",
    *,
    batch: int | None = None,
    file_bytes: int | Sequence[int] = 0,
    seconds: float | None = None,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Do the same I/O by each engine, for every combination of the arguments.

    Parameters
    ----------
    engine : one or several of `ALL_ENGINES`; "nowait" and "mmap" read the page cache only.
    block_bytes : one size or several, 512 bytes to 4 MiB. With "direct" a size that the disk cannot do is left out.
    queue_depth : one or several, 1 to 1024 I/Os in flight at a time; "pool" has this many threads. "sync", "nowait" and
        "mmap" always have one.
    cache : one or several of "direct" (O_DIRECT), "cold", "warm" (page cache without, with the file in it).
    operation : "read" or "write".
    order : "random" or "sequential".
    batch : number of I/Os submitted, and waited for, per call, 1 to the depth; None is a quarter of the depth. It
        applies to the engines that have such calls.
    file_bytes : one size of the working set or several: the part of the data file that is used, up to 1 TiB, but at
        most half of the free space; 0 is 16 MiB, and at least eight blocks per I/O in flight.
    seconds : how long each slice runs, 0.01 to 60; None is 0.08 (0.02 under LABKIT_QUICK=1).
    slices : unwatched slices per setting, 2 to 1000, all interleaved; None is 8 (2). The first setting runs twice, as
        itself and as the A/A arm.
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per setting, and one for the A/A arm (`again` is True). The settings: engine, cache, operation, order,
    block_bytes, queue_depth, batch, file_bytes. Medians over the unwatched slices, with their 95 % interval: ios_per_s,
    low_ios_per_s, high_ios_per_s, p50_ns, low_p50_ns, high_p50_ns, cpu_ns_per_io (of the program and of the kernel
    threads that work for it), low_cpu_ns_per_io, high_cpu_ns_per_io; and bytes_per_s. From all unwatched slices
    together: slices, ios, bytes, elapsed_s, p25_ns, p75_ns, p99_ns (NaN below 1000 I/Os), mean_ns, in_flight (Little's
    law: I/Os per second times mean latency), calls (by the program's own count). From separate watched slices, with the
    probes attached: watched_ios, calls_per_io, sleeps_per_io (NaN where BPF cannot be loaded).
    An engine that this machine lacks or refuses is left out; `attrs["warnings"]` says so.

    Raises
    ------
    BadArgument : an argument is not allowed; nothing has been started.
    WorkloadError : no setting works here: the block size is no multiple of the disk's sector, the disk is full …
    """
    jobs = _jobs(engine, block_bytes, queue_depth, cache, operation, order, batch, file_bytes)
    slice_s = check_float("seconds", quick(0.08, 0.02) if seconds is None else seconds, 0.01, 60, "seconds")
    slices, seed = trial.check_slices(slices, 8, 2), check_seed(seed)
    warnings: list[str] = []

    def run(job: Job, **how: Any) -> JobRun:
        return run_job(job, seconds=slice_s, file=files.get(job.file_bytes, files.get(0)), **how)

    with exclusive("lesson 07: engines", progress) as report, _files(jobs, several("file_bytes", file_bytes)) as files:
        jobs = _possible(jobs, next(iter(files.values())), warnings)
        baseline = next(iter(jobs))
        again = baseline + trial.AGAIN
        unwatched = trial.interleaved(
            [*jobs, again],
            lambda arm, tick: run(jobs[arm.removesuffix(trial.AGAIN)], tick=tick),
            slices=slices,
            seed=seed,
            progress=part(report, 0.0, 0.8),
            seconds=slice_s,
            refused_with=lambda arm: jobs[arm.removesuffix(trial.AGAIN)].engine,
        )
        runs = unwatched.by_arm()
        watched: dict[str, list[JobRun]] = {}
        with attached(warnings, jobs.values()) as program:
            if program is not None:
                watched = trial.interleaved(
                    [arm for arm in jobs if arm in runs],
                    lambda arm, tick: run(jobs[arm], program=program, tick=tick),
                    slices=WATCHED_SLICES,
                    seed=unwatched.seed,
                    progress=part(report, 0.8, 1.0),
                    seconds=slice_s,
                ).by_arm()
        arms = [arm for arm in (*jobs, again) if arm in runs]
        rows = [_row(jobs[arm.removesuffix(trial.AGAIN)], runs[arm], watched.get(arm, [])) for arm in arms]
        made = schema.frame([{**row, "again": arm == again} for arm, row in zip(arms, rows, strict=True)])
        warnings += [*unwatched.warnings, *_doubts(jobs, runs), *_unsteady(runs, baseline, again)]
        lost = sum(run.seen.lost for each in watched.values() for run in each)
        made.attrs.update(
            provenance(
                command=runs[arms[0]][0].command,
                slices=slices,
                seed=unwatched.seed,
                lost_events=lost,
                watched_columns=list(WATCHED),
                warnings=list(dict.fromkeys(warnings)),
            )
        )
    return made


def file_sizes(
    engine: str | Sequence[str] = ("sync", "io_uring"),
    file_bytes: Sequence[int] | None = None,
    *,
    queue_depth: int = 8,
    slices: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Read with O_DIRECT at random places of a small and of a large file: how much do the caches below matter?

    Parameters
    ----------
    engine, queue_depth, slices, progress : as of `measure`.
    file_bytes : sizes of the working set; None is 16 MiB and 1 GiB (4 and 32 MiB under LABKIT_QUICK=1).

    Returns what `measure` returns, with one row per engine and size.
    """
    sizes = quick((16 << 20, 1 << 30), (4 << 20, 32 << 20)) if file_bytes is None else file_bytes
    return measure(engine, queue_depth=queue_depth, file_bytes=sizes, slices=slices, progress=progress)


def _jobs(
    engine: Any,
    block_bytes: Any,
    queue_depth: Any,
    cache: Any,
    operation: str,
    order: str,
    batch: int | None,
    file_bytes: Any,
) -> dict[str, Job]:
    """Return the jobs by a name that tells them apart; engines with one I/O at a time have each once, at depth 1."""
    if batch is not None:
        batch = check_int("batch", batch, 1, 1024, "I/Os")
    made: dict[str, Job] = {}
    asked = product(
        check_choices("engine", engine, ALL_ENGINES),
        check_choices("cache", cache, CACHES),
        several("block_bytes", block_bytes),
        several("queue_depth", queue_depth),
        several("file_bytes", file_bytes),
    )
    for name, way, size, depth, working_set in asked:
        depth = check_int("queue_depth", depth, 1, 1024, "I/Os")
        depth = depth_of(name, depth)
        together = batch_of(name, depth, batch)
        job = Job(name, operation, order, way, size, depth, together, together, file_bytes=working_set)
        made[f"{name} {way} {schema.si_bytes(size)} at depth {depth} (file {schema.si_bytes(job.file_bytes)})"] = job
    return made


@contextmanager
def _files(jobs: dict[str, Job], sizes: list[int]) -> Iterator[dict[int, Path | None]]:
    """Make one data file per working set; 0 stands for one that is large enough for all jobs without a size."""
    with ExitStack() as stack:
        yield {
            size: stack.enter_context(shared_file([job for job in jobs.values() if size in (0, job.file_bytes)]))
            for size in sizes
        }


def _possible(jobs: dict[str, Job], file: Any, warnings: list[str]) -> dict[str, Job]:
    """Leave out the block sizes that O_DIRECT cannot do on this disk, and say so; raise where nothing is left."""
    kept, first = dict(jobs), None
    for size in sorted({job.block_bytes for job in jobs.values() if job.cache == "direct"}):
        if size % LARGE_SECTOR_BYTES == 0:
            continue
        error = refusal(Job("sync", block_bytes=size), file)
        if error is None:
            continue
        first = first or error
        kept = {arm: job for arm, job in kept.items() if (job.cache, job.block_bytes) != ("direct", size)}
        warnings.append(f"{schema.si_bytes(size)} with O_DIRECT is left out. {error.what} Fix: {error.fix}")
    if first is not None and not kept:
        raise first
    return kept


def _row(job: Job, runs: list[JobRun], watched: list[JobRun]) -> dict[str, Any]:
    """Return one row of `measure` from the slices of one arm."""
    made = total(runs)
    report, (p25, p75) = made.report, quantile(made.latency, [0.25, 0.75])
    ios, mean_ns = report["ios"], report["latency_sum_ns"] / report["ios"]
    rate = trial.interval("ios_per_s", [run.ios_per_s for run in runs])
    return {
        "engine": job.engine,
        "cache": job.cache,
        "operation": job.operation,
        "order": job.order,
        "block_bytes": job.block_bytes,
        "queue_depth": job.queue_depth,
        "batch": job.batch,
        "file_bytes": made.report["file_bytes"],
        "slices": len(runs),
        "ios": ios,
        "bytes": report["bytes"],
        "elapsed_s": report["elapsed_s"],
        "p25_ns": p25,
        **trial.interval("p50_ns", [float(quantile(run.latency, 0.5)) for run in runs]),
        "p75_ns": p75,
        "p99_ns": p99(made.latency),
        "mean_ns": mean_ns,
        **rate,
        "bytes_per_s": rate["ios_per_s"] * job.block_bytes,
        "in_flight": made.in_flight,
        **trial.interval("cpu_ns_per_io", [run.cpu_ns_per_io for run in runs]),
        "calls": made.own_calls,
        **_seen(job, watched),
    }


def _seen(job: Job, watched: list[JobRun]) -> dict[str, Any]:
    """Return what only the kernel can tell, from the watched slices of one arm."""
    if not watched:
        return {"watched_ios": 0, **dict.fromkeys(WATCHED, float("nan"))}
    made = total(watched)
    ios, seen = made.report["ios"], made.seen
    slept = seen.slept if job.engine == "mmap" else seen.slept[1:]  # mmap sleeps in page faults, not in system calls
    return {"watched_ios": ios, "calls_per_io": seen.calls / ios, "sleeps_per_io": slept.sum() / ios}


def _doubts(jobs: dict[str, Job], runs: dict[str, list[JobRun]]) -> list[str]:
    """Return what witnesses do not confirm of each arm."""
    return [warning for arm, job in jobs.items() if arm in runs for warning in doubts(job, runs[arm])]


def _unsteady(runs: dict[str, list[JobRun]], baseline: str, again: str) -> list[str]:
    if not {baseline, again} <= runs.keys():  # refused
        return []
    return trial.unsteady({arm: [run.ios_per_s for run in runs[arm]] for arm in (baseline, again)}, baseline)
