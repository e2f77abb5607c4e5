"""Lesson 07: three ways to read: sync, libaio, io_uring.

The workload (c/workloads/io_engines.c) does the same I/O by each engine. Its own report gives latency, throughput and
CPU time; the kernel tells system calls and sleep (c/bpf/io_engines.c, through `watched.py`). Who blocks, lanes
and content are in `costs.py`, the exercises in `exercises.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import WorkloadUnable, check_choices, check_float, check_int, check_seed, several
from labkit.lessons._io.job import ENGINES, Job, shared_file
from labkit.lessons.io_engines.watched import Outcome, runner
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, silent
from labkit.stats import trial
from labkit.stats.histogram import quantile

__all__ = ["measure"]

LARGE_SECTOR_BYTES = 4096


def measure(
    engine: str | Sequence[str] = ENGINES,
    block_bytes: int | Sequence[int] = 4096,
    queue_depth: int | Sequence[int] = 32,
    cache: str | Sequence[str] = "direct",
    operation: str = "read",
    order: str = "random",
    *,
    batch: int | None = None,
    seconds: float | None = None,
    slices: int = 4,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Do the same I/O by each engine, for every combination of what is given.

    Parameters
    ----------
    engine : one or several of "sync", "libaio", "io_uring".
    block_bytes : one size or several, 512 bytes to 4 MiB.
    queue_depth : one or several, 1 to 1024 I/Os under way at a time. "sync" has one, whatever is asked.
    cache : one or several of "direct" (O_DIRECT), "cold", "warm" (page cache without, with the file in it).
    operation : "read" or "write".
    order : "random" or "sequential".
    batch : so many I/Os are handed over, and waited for, with one call, 1 to the depth; None is a quarter of the depth.
    seconds : how long each slice runs, 0.01 to 60; None is 0.08 (0.02 in a hurry).
    slices : of each setting, 1 to 100; all settings are interleaved, and the histograms of one are added up.
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a setting: engine, cache, operation, order, block_bytes, queue_depth, batch, ios, bytes, p25_ns, p50_ns,
    p75_ns, p99_ns, mean_ns, ios_per_s, bytes_per_s, in_flight (Little's law: ios_per_s times mean latency),
    cpu_ns_per_io (of the program and of the kernel threads that work for it), calls (by the program's own count),
    calls_per_io and sleeps_per_io (as the kernel saw it; NaN where BPF cannot be loaded). An engine that this machine
    lacks or refuses is left out, and told in `attrs["warnings"]`.

    Raises
    ------
    BadArgument : an argument is not allowed; nothing has been started.
    WorkloadError : no engine can do this here: the block size is no multiple of the disk's sector, the disk is full …
    """
    jobs = _jobs(engine, block_bytes, queue_depth, cache, operation, order, batch)
    seconds = check_float("seconds", quick(0.08, 0.02) if seconds is None else seconds, 0.01, 60, "seconds")
    slices = check_int("slices", slices, 1, 100, "slices")
    report, seed = progress or silent, check_seed(seed)
    made: dict[str, Outcome] = {}
    warnings: list[str] = []
    refused: dict[str, WorkloadUnable] = {}
    with exclusive("lesson 07: engines", report), runner(warnings) as run, shared_file(list(jobs.values())) as file:
        for size in sorted({job.block_bytes for job in jobs.values() if job.cache == "direct"}):
            if size % LARGE_SECTOR_BYTES:  # is this disk's sector larger than the block? Not after half of the sweep
                run.check(Job("sync", block_bytes=size), file)
        plan = trial.order(list(jobs), slices, seed)
        for done, (_, name) in enumerate(plan):
            job = jobs[name]
            if job.engine in refused:
                continue

            def tick(gone_s: float, done: int = done, name: str = name) -> None:
                report((done + min(gone_s / seconds, 1)) / len(plan), name)

            try:
                found = run.run(job, seconds=seconds, file=file, tick=tick)
            except WorkloadUnable as error:
                refused[job.engine] = error
                continue
            made[name] = made[name] + found if name in made else found
        if not made:
            raise next(iter(refused.values()))
        warnings += [f"{error.what} Fix: {error.fix}" for error in refused.values()]
        commands = [found.command for found in made.values()]
        facts = provenance(command=commands[-1], slices=slices, seed=seed, warnings=warnings)
    report(1.0, "done")
    return schema.frame([_row(jobs[name], made[name]) for name in jobs if name in made], **facts)


def _jobs(
    engine: Any, block_bytes: Any, queue_depth: Any, cache: Any, operation: str, order: str, batch: int | None
) -> dict[str, Job]:
    """Return the jobs by a name that tells them apart; sync has each of them once, at depth 1."""
    if batch is not None:
        batch = check_int("batch", batch, 1, 1024, "I/Os")
    made: dict[str, Job] = {}
    asked = product(
        check_choices("engine", engine, ENGINES), several("cache", cache), several("block_bytes", block_bytes),
        several("queue_depth", queue_depth),
    )  # fmt: skip
    for name, way, size, depth in asked:
        depth = check_int("queue_depth", depth, 1, 1024, "I/Os")
        depth = 1 if name == "sync" else depth
        together = 1 if name == "sync" else max(1, depth // 4) if batch is None else batch
        job = Job(name, operation, order, way, size, depth, together, together)
        made[f"{name}, {way}, {schema.si_bytes(size)}, depth {depth}"] = job
    return made


def _row(job: Job, found: Outcome) -> dict[str, Any]:
    told, (p25, p50, p75, p99) = found.told, quantile(found.latency, [0.25, 0.5, 0.75, 0.99])
    ios, mean_ns = told["ios"], told["latency_sum_ns"] / told["ios"]
    cpu_s = told["user_s"] + told["system_s"] + told["kernel_threads_s"]
    return {
        "engine": job.engine,
        "cache": job.cache,
        "operation": job.operation,
        "order": job.order,
        "block_bytes": job.block_bytes,
        "queue_depth": job.queue_depth,
        "batch": job.batch,
        "ios": ios,
        "bytes": told["bytes"],
        "p25_ns": p25,
        "p50_ns": p50,
        "p75_ns": p75,
        "p99_ns": p99,
        "mean_ns": mean_ns,
        "ios_per_s": ios / told["elapsed_s"],
        "bytes_per_s": told["bytes"] / told["elapsed_s"],
        "in_flight": ios / told["elapsed_s"] * mean_ns / 1e9,
        "cpu_ns_per_io": 1e9 * cpu_s / ios,
        "calls": found.own_calls,
        "calls_per_io": found.seen_calls / ios,
        "sleeps_per_io": float("nan") if found.slept is None else found.slept[1:].sum() / ios,
    }
