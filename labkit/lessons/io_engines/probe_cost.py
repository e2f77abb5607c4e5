# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: what watching does to the numbers. The same jobs, with the probes attached and without."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import pandas as pd

from labkit import schema
from labkit.errors import check_choices, check_float, check_int, check_seed
from labkit.lessons._io.job import ENGINES, Job, shared_file
from labkit.lessons.io_engines.runs import attached, batch_of, depth_of, run_job
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick
from labkit.stats import trial
from labkit.stats.histogram import quantile

__all__ = ["watched_ratios", "watching_cost"]

UNWATCHED, WATCHED = "unwatched", "watched"


def watching_cost(
    engine: str | Sequence[str] = ("sync", "io_uring"),
    cache: str = "warm",
    queue_depth: int = 32,
    *,
    seconds: float | None = None,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Run the same job with the probes of this lesson attached, and with nothing attached.

    Parameters
    ----------
    engine : one or several of `ENGINES`; the first is the baseline, which runs unwatched a second time (A/A).
    cache : "direct", "cold" or "warm". On a warm file the I/O is shortest, so the probes weigh most.
    queue_depth : 1 to 1024; "sync" has one.
    seconds : how long each slice runs, 0.01 to 60; None is 0.1 (0.02 under LABKIT_QUICK=1).
    slices : per arm, interleaved, 2 to 1000; None is 8 (2).
    seed, progress : as of `io_engines.measure`.

    Returns
    -------
    One row per arm and slice: arm, slice, engine, watched (were the probes attached?), ios_per_s, p50_ns.
    `watched_ratios(frame)` compares the arms.

    Raises
    ------
    Missing : BPF cannot be loaded.
    """
    engines = check_choices("engine", engine, ENGINES)
    slice_s = check_float("seconds", quick(0.1, 0.02) if seconds is None else seconds, 0.01, 60, "seconds")
    slices, seed = trial.check_slices(slices, 8, 2), check_seed(seed)
    queue_depth = check_int("queue_depth", queue_depth, 1, 1024, "I/Os")
    jobs = {name: _job(name, cache, queue_depth) for name in engines}
    arms = {f"{name} {how}": (name, how == WATCHED) for name in engines for how in (UNWATCHED, WATCHED)}
    baseline = next(iter(arms))
    arms[baseline + trial.AGAIN] = arms[baseline]

    def run(arm: str, tick: Tick) -> dict[str, object]:
        name, is_watched = arms[arm]
        with attached() if is_watched else nullcontext() as program:
            made = run_job(jobs[name], seconds=slice_s, file=file, program=program, tick=tick)
        p50_ns = float(quantile(made.latency, 0.5))
        return {"engine": name, "watched": is_watched, "ios_per_s": made.ios_per_s, "p50_ns": p50_ns}

    with exclusive("lesson 07: what watching costs", progress) as report, shared_file(list(jobs.values())) as file:
        made = trial.interleaved(
            list(arms),
            run,
            slices=slices,
            seed=seed,
            progress=report,
            seconds=slice_s,
            refused_with=lambda arm: arms[arm][0],
        )
        facts = provenance(baseline=baseline, slices=slices, seed=made.seed, warnings=made.warnings)
    rows = made.frame().sort_values("arm", key=lambda names: names.map(list(arms).index), kind="stable")
    return schema.frame(rows.reset_index(drop=True), **facts)


def watched_ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what the probes changed, from a frame of `watching_cost`.

    Returns a frame with columns comparison, ratio, low, high, slices: for each engine its rate watched divided by its
    rate unwatched; the A/A arm; and, for each further engine, its rate divided by that of the first, unwatched and
    watched: the answer to "which engine is faster?", from either kind of slice.
    """
    slices = frame.assign(value=frame["ios_per_s"])[["arm", "slice", "value"]]
    engines = list(dict.fromkeys(frame["engine"]))
    first = f"{engines[0]} {UNWATCHED}"
    pairs = {f"{name}: watched / unwatched": (f"{name} {WATCHED}", f"{name} {UNWATCHED}") for name in engines}
    pairs[f"{engines[0]}: unwatched again / unwatched (A/A)"] = (first + trial.AGAIN, first)
    for name in engines[1:]:
        for how in (UNWATCHED, WATCHED):
            pairs[f"{name} / {engines[0]} ({how})"] = (f"{name} {how}", f"{engines[0]} {how}")
    rows = []
    for comparison, (arm, baseline) in pairs.items():
        row = trial.ratios(slices, baseline).set_index("arm").loc[arm]
        rows.append({"comparison": comparison, **{name: row[name] for name in ("ratio", "low", "high", "slices")}})
    noise = trial.ratios(slices, first).attrs["warnings"]
    return schema.derived(rows, frame, warnings=[*frame.attrs.get("warnings", []), *noise])


def _job(engine: str, cache: str, queue_depth: int) -> Job:
    depth = depth_of(engine, queue_depth)
    batch = batch_of(engine, depth)
    return Job(engine, "read", "random", cache, 4096, depth, batch, batch)
