# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: in which of its system calls an engine sleeps, and who does the work when a file is in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.errors import Missing, check_choices, check_int
from labkit.lessons._io.job import CACHES, ENGINES, Job, shared_file
from labkit.lessons.io_engines.runs import CALLS, JobRun, attached, depth_of, run_job
from labkit.machine.folders import data_folder, quick
from labkit.machine.mounts import IN_MEMORY, mount_of
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, part
from labkit.stats import trial
from labkit.stats.histogram import p99, quantile, total

__all__ = ["call_rows", "calls", "in_memory"]

MOST_IOS = 100_000
MEMORY = Path("/dev/shm")


def calls(
    engine: str | Sequence[str] = ENGINES,
    cache: str | Sequence[str] = ("direct", "cold"),
    queue_depth: int = 8,
    block_bytes: int = 4096,
    ios: int | None = None,
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """See in which of its system calls each engine sleeps. Every slice is watched.

    Parameters
    ----------
    engine, cache, queue_depth, block_bytes : as of `io_engines.measure`; each I/O is submitted with a call of its own.
    ios : reads of each setting, 1 to 100000; None is 997 (211 under LABKIT_QUICK=1).
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per system call of a setting: engine, cache, call, ios, count, slept, preempted, p50_ns, p99_ns (of one
    call; NaN below 1000 calls), ns_per_io (the time in it per I/O). All of it comes from the kernel, while the probes
    are attached: compare the times with each other, not with those of `io_engines.measure`.

    Raises
    ------
    Missing : BPF cannot be loaded.
    """
    ios = check_int("ios", quick(997, 211) if ios is None else ios, 1, MOST_IOS, "I/Os")
    queue_depth = check_int("queue_depth", queue_depth, 1, 1024, "I/Os")
    jobs = {
        f"{name} {way}": Job(name, "read", "random", way, block_bytes, depth_of(name, queue_depth))
        for way in check_choices("cache", cache, CACHES)
        for name in check_choices("engine", engine, ENGINES)
    }
    warnings: list[str] = []
    with (
        exclusive("lesson 07: who blocks", progress) as report,
        attached() as program,
        shared_file(list(jobs.values())) as file,
    ):
        found = trial.once(
            jobs,
            lambda job, tick: run_job(job, ios=ios, file=file, program=program, tick=tick),
            progress=report,
            warnings=warnings,
        )
        rows = [
            {"engine": jobs[arm].engine, "cache": jobs[arm].cache, **row}
            for arm, run in found.items()
            for row in call_rows(run)
        ]
        lost = sum(run.seen.lost for run in found.values())
        facts = provenance(command=next(iter(found.values())).command, lost_events=lost, warnings=warnings)
    return schema.frame(rows, **facts)


def call_rows(run: JobRun) -> list[dict[str, Any]]:
    """Return one row per kind of system call that a watched run made: see `calls`."""
    ios, seen, rows = run.report["ios"], run.seen, []
    for number, name in enumerate(CALLS):
        counts = seen.durations[number]
        if counts.sum():
            rows.append(
                {
                    "call": name,
                    "ios": ios,
                    "count": counts.sum(),
                    "slept": seen.slept[number],
                    "preempted": seen.preempted[number],
                    "p50_ns": quantile(counts, 0.5),
                    "p99_ns": p99(counts),
                    "ns_per_io": total(counts) / ios,
                }
            )
    return rows


def in_memory(ios: int | None = None, *, slices: int | None = None, progress: Progress | None = None) -> pd.DataFrame:
    """Read a file on a file system in memory (tmpfs), and one in the page cache: who does the work?

    Parameters
    ----------
    ios : reads per slice, 1 to 100000; None is 1999 (499 under LABKIT_QUICK=1).
    slices : unwatched slices per setting, interleaved, 2 to 1000; None is 8 (2).
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per engine and file system, and one for the A/A arm (`again` is True): engine, filesystem, slices, p50_ns,
    low_p50_ns, high_p50_ns, ios_per_s, and ratio, low, high (the median compared with that of "sync" on the same file
    system, with its 95 % interval), all from unwatched slices. From one watched slice each: ios, punted (I/Os that
    io_uring handed to a worker thread), workers (threads of that name), worker_cpu_s.

    Raises
    ------
    Missing : there is no tmpfs at /dev/shm, or the data folder is in one too, or BPF cannot be loaded, or io_uring is
        refused.
    """
    ios = check_int("ios", quick(1999, 499) if ios is None else ios, 1, MOST_IOS, "I/Os")
    slices = trial.check_slices(slices, 8, 2)
    if not MEMORY.is_dir() or mount_of(MEMORY).kind != "tmpfs":
        raise Missing(f"{MEMORY} is not a tmpfs here.", f"mount -t tmpfs tmpfs {MEMORY}")
    if mount_of(data_folder()).kind in IN_MEMORY:
        raise Missing(
            f"The data folder {data_folder()} is in memory too, so there is no disk to compare with.",
            "set LABKIT_DATA to a folder on a disk",
        )
    arms = {
        f"{engine} {place}{again}": (engine, place, folder, bool(again))
        for place, folder in (("tmpfs", MEMORY), ("disk", None))
        for engine, again in (("sync", ""), ("sync", trial.AGAIN), ("io_uring", ""))
    }

    def run(arm: str, tick: Any, program: Any = None) -> JobRun:
        engine, _, folder, _ = arms[arm]
        return run_job(Job(engine, cache="warm"), ios=ios, folder=folder, program=program, tick=tick)

    with exclusive("lesson 07: a file in memory", progress) as report:
        with attached() as program:
            seen = trial.once(  # without io_uring there is nothing to compare
                {arm: arm for arm, (*_, again) in arms.items() if not again},
                lambda arm, tick: run(arm, tick, program),
                progress=part(report, 0.0, 0.3),
            )
        unwatched = trial.interleaved(list(arms), run, slices=slices, progress=part(report, 0.3, 1.0))
        runs, rows = unwatched.by_arm(), []
        for arm, (engine, place, _, again) in arms.items():
            middles = _middles(runs[arm])
            logs = np.log(np.array(middles) / np.array(_middles(runs[f"sync {place}"])))
            ratio, low, high = np.exp(trial.median_interval(list(logs)))
            one = seen[arm.removesuffix(trial.AGAIN)]
            workers = [thread for thread in one.report["kernel_threads"] if thread["name"].startswith("iou-wrk")]
            rows.append(
                {
                    "engine": engine,
                    "filesystem": one.report["filesystem"],
                    "again": again,
                    "slices": slices,
                    **trial.interval("p50_ns", middles),
                    "ios_per_s": np.median([each.ios_per_s for each in runs[arm]]),
                    "ratio": ratio,
                    "low": low,
                    "high": high,
                    "ios": ios,
                    "punted": one.seen.punted,
                    "workers": len(workers),
                    "worker_cpu_s": sum(thread["cpu_s"] for thread in workers),
                }
            )
        watched_columns = ["ios", "punted", "workers", "worker_cpu_s"]
        facts = provenance(command=one.command, slices=slices, seed=unwatched.seed, watched_columns=watched_columns)
    return schema.frame(rows, **facts)


def _middles(runs: list[JobRun]) -> list[float]:
    return [float(quantile(run.latency, 0.5)) for run in runs]
