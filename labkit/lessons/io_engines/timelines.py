# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: each I/O as a lane in time, and how many were in flight at once. Nothing is attached."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from labkit import schema
from labkit.errors import check_choices, check_int
from labkit.lessons._io.job import ENGINES, Job, shared_file, timeline
from labkit.lessons.io_engines.runs import depth_of, run_job
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, Tick
from labkit.stats import trial

__all__ = ["lanes", "lanes_of", "overlap"]

RUNS = 3  # of each engine, of which `lanes` keeps the middle one


def lanes(
    engine: str | Sequence[str] = ENGINES,
    queue_depth: int = 8,
    ios: int = 64,
    block_bytes: int = 4096,
    cache: str = "direct",
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Record each I/O from its submission until the program knows that it is complete.

    Each engine runs three times, interleaved, and the run of middle length is kept: one slow moment of the disk would
    fill the picture.

    Parameters
    ----------
    engine, queue_depth, block_bytes, cache : as of `io_engines.measure`.
    ios : of each engine, 1 to 10000.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per I/O: engine, slot (its lane: a place for one I/O in flight), offset_bytes, submit_ns and complete_ns
    (since the engine's first I/O), latency_ns. `overlap(frame)` returns how many were in flight at once.
    """
    ios = check_int("ios", ios, 1, 10_000, "I/Os")
    queue_depth = check_int("queue_depth", queue_depth, 1, 1024, "I/Os")
    jobs = {
        name: Job(name, "read", "random", cache, block_bytes, depth_of(name, queue_depth))
        for name in check_choices("engine", engine, ENGINES)
    }
    with (
        exclusive("lesson 07: lanes", progress) as report,
        shared_file(list(jobs.values())) as file,
        run_folder() as folder,
    ):
        made = trial.interleaved(
            list(jobs),
            lambda arm, tick: lanes_of(jobs[arm], ios, folder, file=file, tick=tick),
            slices=RUNS,
            progress=report,
        )
        runs = made.by_arm()
        kept = [_middle([frame for frame, _ in runs[arm]]).assign(engine=arm) for arm in jobs if arm in runs]
        command = next(iter(runs.values()))[0][1]
        facts = provenance(command=command, warnings=made.warnings, seed=made.seed)
    joined = pd.concat(kept, ignore_index=True)
    return schema.frame(joined[["engine", *(name for name in joined if name != "engine")]], **facts)


def _middle(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the run that was neither the fastest nor the slowest."""
    return sorted(frames, key=lambda frame: int(frame["complete_ns"].max()))[len(frames) // 2]


def lanes_of(
    job: Job, ios: int, folder: Path, *, file: Path | None = None, tick: Tick | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Return the time line of one job, from its first I/O on, and the command."""
    path = folder / "timeline"
    made = run_job(job, "--timeline", str(path), "--timeline-ios", str(ios), ios=ios, file=file, tick=tick)
    records = timeline(path)
    began_ns = int(records["submit_ns"].min())
    columns = {
        "slot": records["slot"].astype(np.int64),
        "offset_bytes": records["offset_bytes"].astype(np.int64),
        "submit_ns": records["submit_ns"].astype(np.int64) - began_ns,
        "complete_ns": records["complete_ns"].astype(np.int64) - began_ns,
        "latency_ns": (records["complete_ns"] - records["submit_ns"]).astype(np.int64),
    }
    return pd.DataFrame(columns).sort_values("submit_ns", kind="stable", ignore_index=True), made.command


def overlap(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how many I/Os were in flight at once, from a frame of `lanes`.

    Returns a frame with one row per engine: engine, ios, most_in_flight (at any moment), in_flight (on average).
    """
    rows = []
    for name, ios in frame.groupby("engine", sort=False):
        # an I/O that ends in the moment in which another begins does not overlap it: ends first
        moments = pd.concat([pd.Series(-1, index=ios["complete_ns"]), pd.Series(1, index=ios["submit_ns"])])
        at_once = moments.sort_index(kind="stable").cumsum()
        lasted = ios["complete_ns"].max() - ios["submit_ns"].min()
        in_flight = ios["latency_ns"].sum() / lasted
        rows.append({"engine": name, "ios": len(ios), "most_in_flight": at_once.max(), "in_flight": in_flight})
    return schema.derived(rows, frame)
