# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: what a write costs that survives a power failure, in four kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.errors import check_float, check_int, check_seed
from labkit.lessons._io.job import DURABLE, Job
from labkit.lessons.io_engines.runs import JobRun, run_job, total
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.stats import trial
from labkit.stats.histogram import from_buckets, p99, quantile

__all__ = ["durable"]


def durable(
    block_bytes: int = 4096,
    sync_every: int = 32,
    *,
    seconds: float | None = None,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Write to a file through the page cache, with the four ways to make the writes durable.

    Parameters
    ----------
    block_bytes : as of `io_engines.measure`.
    sync_every : writes from one fdatasync(2) to the next in the kind "every", 1 to 100000.
    seconds : how long each slice runs, without the last fdatasync, 0.01 to 60; None is 0.15 (0.03 under
        LABKIT_QUICK=1).
    slices : per kind, interleaved, 2 to 1000; None is 6 (2).
    seed, progress : as of `io_engines.measure`.

    Returns
    -------
    One row per kind, and one for the first again (A/A, `again` is True): durable ("none": no sync; "end": one fdatasync
    at the end, in the measured time; "every": one after each `sync_every` writes; "dsync": RWF_DSYNC on each write),
    again, slices, ios, ios_per_s, low_ios_per_s, high_ios_per_s (medians over the slices with their 95 % interval),
    p50_ns and p99_ns of one write call (p99_ns: NaN below 1000 writes), fdatasyncs, fdatasync_p50_ns, and
    device_written_share (bytes that the kernel charged to this process as written to the device, per byte). Nothing is
    attached.
    """
    sync_every = check_int("sync_every", sync_every, 1, 100_000, "writes")
    slice_s = check_float("seconds", quick(0.15, 0.03) if seconds is None else seconds, 0.01, 60, "seconds")
    slices, seed = trial.check_slices(slices, 6, 2), check_seed(seed)
    jobs = {
        kind: Job(
            "sync",
            "write",
            cache="warm",
            block_bytes=block_bytes,
            durable=kind,
            sync_every=sync_every if kind == "every" else 0,
        )
        for kind in DURABLE
    }
    again = DURABLE[0] + trial.AGAIN
    jobs[again] = jobs[DURABLE[0]]
    with exclusive("lesson 07: durable writes", progress) as report:
        made = trial.interleaved(
            list(jobs),
            lambda arm, tick: run_job(jobs[arm], seconds=slice_s, tick=tick),
            slices=slices,
            seed=seed,
            progress=report,
            seconds=slice_s,
            refused_with=lambda arm: arm,
        )
        runs = made.by_arm()
        rows = [_row(jobs[arm], arm == again, runs[arm]) for arm in jobs if arm in runs]
        command = next(iter(runs.values()))[0].command
        facts = provenance(command=command, slices=slices, seed=made.seed, warnings=made.warnings)
    return schema.frame(rows, **facts)


def _row(job: Job, again: bool, runs: list[JobRun]) -> dict[str, Any]:
    made = total(runs)
    syncs = np.sum([from_buckets(run.report["fdatasync_ns"]["buckets"]) for run in runs], axis=0)
    return {
        "durable": job.durable,
        "again": again,
        "slices": len(runs),
        "ios": made.report["ios"],
        **trial.interval("ios_per_s", [run.ios_per_s for run in runs]),
        "p50_ns": quantile(made.latency, 0.5),
        "p99_ns": p99(made.latency),
        "fdatasyncs": syncs.sum(),
        "fdatasync_p50_ns": quantile(syncs, 0.5),
        "device_written_share": made.report.get("device_write_bytes", float("nan")) / made.report["bytes"],
    }
