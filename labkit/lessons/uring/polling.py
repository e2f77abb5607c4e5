# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: who submits: the program by a call, or a kernel thread that watches the ring (SQPOLL)."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pandas as pd

from labkit.errors import check_float, check_seed
from labkit.lessons._io.job import shared_file
from labkit.lessons.uring.arms import Arm, job_of, per_slice
from labkit.machine.folders import quick
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.stats import trial

__all__ = ["sqpoll", "submitters"]


def sqpoll(
    batch: int = 32,
    cache: str = "warm",
    *,
    seconds: float | None = None,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let the program submit, then a kernel thread: on another CPU, and on the program's CPU.

    Parameters
    ----------
    batch, cache, seconds, slices, seed, progress : as of `measure`; each read is 4 KiB.

    Returns
    -------
    What `measure` returns, without the columns of a setting; `summary` makes one row per arm of it. The arm "the
    program (again)" shows the noise. With one CPU only, the arms that need two are left out, with a warning.

    Raises
    ------
    Missing : BPF cannot be loaded, or io_uring is refused.
    """
    job = job_of(batch, 4096, cache)
    seconds = check_float("seconds", quick(0.1, 0.05) if seconds is None else seconds, 0.01, 60, "seconds")
    slices, seed = trial.check_slices(slices, 6, 2), check_seed(seed)
    cpus = sorted(os.sched_getaffinity(0))
    arms = {name: Arm(job, options) for name, options in submitters(cpus).items()}
    with exclusive("lesson 08: who submits", progress) as report, shared_file([job]) as file:
        made = per_slice(
            arms, file, seconds=seconds, slices=slices, seed=seed, report=report, cpu=cpus[0], must_watch=True
        )
    if len(cpus) == 1:
        warning = "This machine has one CPU: the submitting thread must share it with the program."
        made.attrs["warnings"] = [warning, *made.attrs["warnings"]]
    return made


def submitters(cpus: Sequence[int]) -> dict[str, tuple[str, ...]]:
    """Return the ways to submit, with their options of io_engines; the program runs on the first CPU."""
    own, shared = f"--sqpoll --sqpoll-cpu {cpus[-1]}", f"--sqpoll --sqpoll-cpu {cpus[0]}"
    ways = {
        "the program": "--one-call",
        "iou-sqp on its own CPU (program sleeps)": own,
        "iou-sqp on its own CPU (program polls)": f"{own} --spin",
        "iou-sqp on the program's CPU": shared,
    }
    return {arm: tuple(way.split()) for arm, way in ways.items() if "own CPU" not in arm or len(cpus) > 1}
