# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: which reads a worker thread does, so that the program's call need not sleep."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from labkit import schema
from labkit.errors import check_int
from labkit.lessons._io.job import Job
from labkit.lessons.uring.runs import WORKER, attached, run
from labkit.machine.folders import quick
from labkit.machine.mounts import mount_of
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.stats import trial

__all__ = ["workers"]

MEMORY = Path("/dev/shm")
MOST_IOS = 100_000


def workers(ios: int | None = None, *, progress: Progress | None = None) -> pd.DataFrame:
    """Read where no read has to wait, where the file system cannot promise that, and where workers are asked for.

    Parameters
    ----------
    ios : reads of each, 1 to 100000; None is 997 (211 with LABKIT_QUICK=1). 8 of them are in flight at a time.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per arm: arm ("page cache", "tmpfs", "page cache with workers asked for"), filesystem, ios, calls (by the
    program's own count), submits, waits, punted (requests handed to a worker), workers (threads named iou-wrk that
    ran), worker_runs (how often one of them had a CPU), kernel_threads_s (their CPU time). From the kernel, except the
    last. Where there is no tmpfs at /dev/shm it is left out, with a warning.

    Raises
    ------
    Missing : BPF cannot be loaded, or io_uring is refused.
    """
    ios = check_int("ios", quick(997, 211) if ios is None else ios, 1, MOST_IOS, "I/Os")
    job = Job("io_uring", cache="warm", queue_depth=8)
    warnings: list[str] = []
    arms: dict[str, tuple[Path | None, tuple[str, ...]]] = {
        "page cache": (None, ()),
        "tmpfs": (MEMORY, ()),
        "page cache with workers asked for": (None, ("--force-async",)),
    }
    if not MEMORY.is_dir() or mount_of(MEMORY).kind != "tmpfs":
        del arms["tmpfs"]
        warnings.append(f"{MEMORY} is not a tmpfs here, so it is left out.")
    with exclusive("lesson 08: workers", progress) as report, attached() as program:
        found = trial.once(
            {arm: [*job.arguments(ios=ios, folder=folder), *more] for arm, (folder, more) in arms.items()},
            lambda arguments, tick: run("io_engines", arguments, program=program, tick=tick),
            progress=report,
        )
        lost = sum(each.seen.lost for each in found.values())
        facts = provenance(command=found["page cache"].command, lost_events=lost, warnings=warnings)
    rows = [
        {
            "arm": arm,
            "filesystem": each.report["filesystem"],
            "ios": each.report["ios"],
            "calls": each.own_calls,
            "submits": each.seen.count("submits"),
            "waits": each.seen.count("waits"),
            "punted": each.seen.count("handed to a worker"),
            "workers": each.seen.threads(WORKER),
            "worker_runs": each.seen.count("ran", thread=WORKER),
            "kernel_threads_s": each.report["kernel_threads_s"],
        }
        for arm, each in found.items()
    ]
    return schema.frame(rows, **facts)
