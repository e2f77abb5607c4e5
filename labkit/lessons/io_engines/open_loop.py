# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: latency against the offered rate (open loop), next to the closed loop; coordinated omission."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.errors import check_choice, check_float, check_int, check_seed, several
from labkit.lessons._io.job import DEEP_ENGINES, Job, shared_file
from labkit.lessons.io_engines.runs import JobRun, run_job, total
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, part
from labkit.stats import trial
from labkit.stats.histogram import from_buckets, quantile
from labkit.stats.tails import by_two_clocks

__all__ = ["offered_load"]

SHARES = (0.3, 0.5, 0.7, 0.9, 1.1)
MOST_SHARE = 2.0
CLOSED, OPEN = "closed", "open"
CAPACITY_RUNS = 3


def offered_load(
    engine: str = "io_uring",
    share: float | Sequence[float] = SHARES,
    queue_depth: int = 8,
    *,
    seconds: float | None = None,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Offer reads at a rate, whether or not the last ones are done (open loop), and compare with the closed loop.

    The arrivals are a Poisson process. At most `queue_depth` reads are in flight; a read that is due earlier waits.

    Parameters
    ----------
    engine : one of "pool", "libaio", "io_uring".
    share : one offered rate or several, as a share of the closed loop's rate, above 0 and up to 2.
    queue_depth : 1 to 1024.
    seconds : how long each slice runs, 0.01 to 60; None is 0.25 (0.05 under LABKIT_QUICK=1).
    slices : per setting, interleaved, 2 to 1000; None is 6 (2).
    seed, progress : as of `io_engines.measure`.

    Returns
    -------
    One row for the closed loop, one for it again (A/A, `again` is True), and one per share: loop, again, share (NaN
    in the closed loop), offered_per_s (0 there), slices, ios. Medians over the slices, with their 95 % interval:
    ios_per_s, p50_ns, p99_ns, low_p99_ns, high_p99_ns (of the latency; in the open loop from the time at which the
    read was due), service_p99_ns, low_service_p99_ns, high_service_p99_ns (the same reads, from their submission);
    ratio, low, high (p99_ns to service_p99_ns, slice by slice). These are NaN if a slice has fewer than 1000 reads.
    in_flight on average. Nothing is attached.

    Raises
    ------
    WorkloadUnable : this machine refuses the engine.
    """
    engine = check_choice("engine", engine, DEEP_ENGINES)
    shares = [
        check_float("share", each, 0.01, MOST_SHARE, "of the closed loop's rate") for each in several("share", share)
    ]
    queue_depth = check_int("queue_depth", queue_depth, 1, 1024, "I/Os")
    slice_s = check_float("seconds", quick(0.25, 0.05) if seconds is None else seconds, 0.01, 60, "seconds")
    slices, seed = trial.check_slices(slices, 6, 2), check_seed(seed)
    closed = Job(engine, queue_depth=queue_depth)
    with exclusive("lesson 07: offered load", progress) as report, shared_file([closed]) as file:
        capacity = float(
            np.median([run_job(closed, seconds=slice_s, file=file).ios_per_s for _ in range(CAPACITY_RUNS)])
        )
        jobs = {CLOSED: closed, CLOSED + trial.AGAIN: closed}
        jobs |= {f"{OPEN}, {each:.0%}": Job(engine, queue_depth=queue_depth, rate=each * capacity) for each in shares}
        seeds = map(str, count(1))  # each slice draws its own arrivals: one series may be faster than its rate
        made = trial.interleaved(
            list(jobs),
            lambda arm, tick: run_job(jobs[arm], "--seed", next(seeds), seconds=slice_s, file=file, tick=tick),
            slices=slices,
            seed=seed,
            progress=part(report, 0.05, 1.0),
            seconds=slice_s,
        )
        runs = made.by_arm()
        rows = [_row(arm, job, job.rate / capacity if job.rate else np.nan, runs[arm]) for arm, job in jobs.items()]
        facts = provenance(
            command=runs[CLOSED][0].command,
            slices=slices,
            seed=made.seed,
            engine=engine,
            warnings=trial.too_few(slices),
        )
    return schema.frame(rows, **facts)


def _row(arm: str, job: Job, share: float, runs: list[JobRun]) -> dict[str, Any]:
    latency = [run.latency for run in runs]
    service = [from_buckets(run.report["service_ns"]["buckets"]) for run in runs] if job.rate else latency
    return {
        "loop": OPEN if job.rate else CLOSED,
        "again": arm.endswith(trial.AGAIN),
        "share": share,
        "offered_per_s": job.rate,
        "slices": len(runs),
        "ios": total(runs).report["ios"],
        "ios_per_s": np.median([run.ios_per_s for run in runs]),
        "p50_ns": np.median([float(quantile(counts, 0.5)) for counts in latency]),
        **by_two_clocks(latency, service),
        "in_flight": np.mean([run.in_flight for run in runs]),
    }
