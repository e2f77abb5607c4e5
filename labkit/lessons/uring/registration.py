# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: what is saved where the kernel knows the file and the buffers beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_seed, several
from labkit.lessons._io.job import shared_file
from labkit.lessons.uring.arms import costs_of, job_of
from labkit.lessons.uring.runs import run
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick
from labkit.stats import settings, trial

__all__ = ["REGISTERED", "registered", "savings"]

REGISTERED = {
    "nothing": (),
    "buffers": ("--registered-buffers",),
    "files": ("--registered-files",),
    "both": ("--registered-buffers", "--registered-files"),
}


def registered(
    block_bytes: int | Sequence[int] = (512, 4096, 65536),
    cache: str = "warm",
    *,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compare the CPU time of a read with nothing registered, and with buffers, files, and both.

    Parameters
    ----------
    block_bytes, cache : as of `measure`; each call submits 32 reads.
    slices : of each arm, 2 to 1000; None is 6 (2 with LABKIT_QUICK=1). All are interleaved, and "nothing" runs twice:
        see `labkit.stats.trial`.
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per slice: block_bytes, arm ("nothing", "buffers", "files", "both", "nothing (again)"), slice,
    cpu_ns_per_io. `savings(frame)` turns it into ratios.
    """
    jobs = [job_of(32, size, cache) for size in several("block_bytes", block_bytes)]
    slices, seed = trial.check_slices(slices, 6, 2), check_seed(seed)
    arms = [*REGISTERED, "nothing" + trial.AGAIN]
    plan = {f"{schema.si_bytes(job.block_bytes)}, {arm}": (job, arm) for job in jobs for arm in arms}

    with (
        exclusive("lesson 08: registered buffers and files", progress) as report,
        shared_file(jobs) as file,
    ):

        def one(name: str, tick: Tick) -> dict[str, Any]:
            job, arm = plan[name]
            ios = max(64, min(quick(20_000, 2000), (128 << 20) // job.block_bytes))
            ios = min(ios, 2000) if cache != "warm" else ios
            options = (*job.arguments(ios=ios, file=file), "--one-call", *REGISTERED[arm.removesuffix(trial.AGAIN)])
            costs = costs_of(run("io_engines", options, tick=tick).report)
            return {"arm": arm, "block_bytes": job.block_bytes, "cpu_ns_per_io": costs["cpu_ns_per_io"]}

        made = trial.interleaved(list(plan), one, slices=slices, seed=seed, progress=report)
    facts = provenance(slices=slices, seed=seed, baseline="nothing", cache=cache, warnings=made.warnings)
    return schema.frame(made.frame(), **facts)


def savings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what registering saved, from a frame of `registered`.

    Returns a frame with one row per block size and arm: block_bytes, arm, cpu_ns_per_io (median), saved_ns (how much
    less than with nothing registered), ratio, low, high (to nothing registered, with the 95 % interval).
    """
    values = frame.assign(value=frame["cpu_ns_per_io"]).sort_values("block_bytes", kind="stable")
    found = settings.ratios(values, ["block_bytes"], "nothing", lambda here: schema.si_bytes(here["block_bytes"]))
    medians = frame.groupby(["arm", "block_bytes"])["cpu_ns_per_io"].median()
    own = medians.loc[list(zip(found["arm"], found["block_bytes"], strict=True))].to_numpy()
    saved_ns = medians["nothing"].loc[found["block_bytes"]].to_numpy() - own
    columns = ["block_bytes", "arm", "cpu_ns_per_io", "saved_ns", "ratio", "low", "high"]
    return schema.derived(found.assign(cpu_ns_per_io=own, saved_ns=saved_ns)[columns], found)
