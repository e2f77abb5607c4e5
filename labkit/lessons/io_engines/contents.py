# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: every engine reads, and writes, the right bytes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from labkit import schema
from labkit.errors import check_choices
from labkit.lessons._io.job import CACHES, ENGINES, Job
from labkit.lessons.io_engines.runs import depth_of, run_job
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.stats import trial

__all__ = ["content"]


def content(
    engine: str | Sequence[str] = ENGINES, operation: str = "read", *, progress: Progress | None = None
) -> pd.DataFrame:
    """Read, or write, a whole file by each engine, compare every byte, and add all words up.

    Returns a frame with one row per engine and cache: engine, cache, operation, ios, bytes, verified_ios (blocks
    compared), checksum. A block with wrong content is an error (`WorkloadError`).
    """
    jobs = {
        f"{name}, {way}": Job(name, operation, "random", way, 16384, depth_of(name, 16))
        for name in check_choices("engine", engine, ENGINES)
        for way in CACHES
    }
    first = next(iter(jobs.values()))
    ios, verify = first.file_bytes // first.block_bytes, "during" if operation == "read" else "after"
    warnings: list[str] = []
    with exclusive("lesson 07: content", progress) as report:
        runs = trial.once(
            jobs,
            lambda job, tick: run_job(job, "--verify", verify, ios=ios, tick=tick),
            progress=report,
            warnings=warnings,
        )
        facts = provenance(command=next(iter(runs.values())).command, warnings=warnings)
    reports = [(jobs[arm], run.report) for arm, run in runs.items()]
    rows = [
        {
            "engine": job.engine,
            "cache": job.cache,
            "operation": operation,
            "ios": report["ios"],
            "bytes": report["bytes"],
            "verified_ios": report["verified_ios"],
            "checksum": f"{report['checksum']:#018x}",
        }
        for job, report in reports
    ]
    return schema.frame(rows, **facts)
