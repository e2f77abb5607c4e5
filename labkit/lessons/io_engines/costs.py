"""Lesson 07, a closer look: which call blocks, I/Os as lanes in time, their content, and a file that is in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.errors import Missing, WorkloadUnable, check_choices, check_int, several
from labkit.lessons._io.job import ENGINES, Job, shared_file, timeline
from labkit.lessons.io_engines.watched import CALLS, Outcome, Runner, runner
from labkit.machine.folders import data_folder, quick
from labkit.machine.mounts import IN_MEMORY, mount_of
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, Tick, silent
from labkit.stats.histogram import BUCKETS, bucket_low, quantile

__all__ = ["call_rows", "calls", "content", "in_memory", "lanes", "lanes_of", "overlap"]

MOST_IOS = 100_000
RUNS = 3  # of each engine, of which `lanes` keeps the middle one
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
    """See in which of its system calls each engine sleeps.

    Parameters
    ----------
    engine, cache, queue_depth, block_bytes : as of `io_engines.measure`; I/Os are handed over one by one.
    ios : reads of each setting, 1 to 100000; None is 997 (211 in a hurry).
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a system call of a setting: engine, cache, call, ios, count, slept, preempted, p50_ns, p99_ns (of one
    call), ns_per_io (the time in it for each I/O). All of it from the kernel.

    Raises
    ------
    Missing : BPF cannot be loaded.
    """
    ios = check_int("ios", quick(997, 211) if ios is None else ios, 1, MOST_IOS, "I/Os")
    jobs = [
        Job(name, "read", "random", way, block_bytes, _depth(name, queue_depth))
        for way in several("cache", cache)
        for name in check_choices("engine", engine, ENGINES)
    ]
    report = progress or silent
    rows: list[dict[str, Any]] = []
    with exclusive("lesson 07: who blocks", report), runner() as run, shared_file(jobs) as file:
        found, warnings = _each(run, jobs, ios, report, file=file)
        for job, outcome in found:
            rows += [{"engine": job.engine, "cache": job.cache, **row} for row in call_rows(outcome)]
        facts = provenance(command=found[-1][1].command, warnings=warnings)
    report(1.0, "done")
    return schema.frame(rows, **facts)


def call_rows(outcome: Outcome) -> list[dict[str, Any]]:
    """Return a row for each kind of system call that was made: see `calls`."""
    assert outcome.calls is not None and outcome.slept is not None and outcome.preempted is not None
    buckets = np.arange(BUCKETS)
    middles = (bucket_low(buckets) + bucket_low(buckets + 1) - 1) / 2
    ios, rows = outcome.told["ios"], []
    for number, name in enumerate(CALLS):
        counts = outcome.calls[number]
        if counts.sum():
            p50, p99 = quantile(counts, [0.5, 0.99])
            rows.append(
                {
                    "call": name,
                    "ios": ios,
                    "count": counts.sum(),
                    "slept": outcome.slept[number],
                    "preempted": outcome.preempted[number],
                    "p50_ns": p50,
                    "p99_ns": p99,
                    "ns_per_io": (counts * middles).sum() / ios,
                }
            )
    return rows


def lanes(
    engine: str | Sequence[str] = ENGINES,
    queue_depth: int = 8,
    ios: int = 64,
    block_bytes: int = 4096,
    cache: str = "direct",
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Record each I/O from the moment it is handed over until its end is known.

    Each engine runs three times, in turns, and the run of the middle length is kept: a disk that hiccups in one of
    them would fill the picture.

    Parameters
    ----------
    engine, queue_depth, block_bytes, cache : as of `io_engines.measure`.
    ios : of each engine, 1 to 10000.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row an I/O: engine, slot (its lane: a place for one I/O under way), offset_bytes, submit_ns and complete_ns
    (since the engine's first I/O), latency_ns. `overlap(frame)` says how many were under way at once.
    """
    ios = check_int("ios", ios, 1, 10_000, "I/Os")
    jobs = [
        Job(name, "read", "random", cache, block_bytes, _depth(name, queue_depth))
        for name in check_choices("engine", engine, ENGINES)
    ]
    report = progress or silent
    refused: dict[str, WorkloadUnable] = {}
    found: dict[str, list[pd.DataFrame]] = {job.engine: [] for job in jobs}
    with exclusive("lesson 07: lanes", report), shared_file(jobs) as file, run_folder() as folder:
        plan = [job for _ in range(RUNS) for job in jobs]
        for done, job in enumerate(plan):
            share, note = done / len(plan), job.engine
            if job.engine in refused:
                continue
            tick = lambda gone_s, share=share, note=note: report(share, note)  # noqa: E731
            try:
                frame, command = lanes_of(Runner(None), job, ios, folder, file=file, tick=tick)
            except WorkloadUnable as error:
                refused[job.engine] = error
            else:
                found[job.engine].append(frame.assign(engine=job.engine))
        if len(refused) == len(jobs):
            raise next(iter(refused.values()))
        warnings = [f"{error.what} Fix: {error.fix}" for error in refused.values()]
        facts = provenance(command=command, warnings=warnings, queue_depth=queue_depth)
    report(1.0, "done")
    made = pd.concat([_middle(frames) for frames in found.values() if frames], ignore_index=True)
    return schema.frame(made[["engine", *(name for name in made if name != "engine")]], **facts)


def _middle(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the run that was neither the quickest nor the slowest to end."""
    return sorted(frames, key=lambda frame: int(frame["complete_ns"].max()))[len(frames) // 2]


def lanes_of(
    run: Runner, job: Job, ios: int, folder: Path, *, file: Path | None = None, tick: Tick | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Return the time line of one job, from its first I/O on, and the command."""
    path = folder / "timeline"
    outcome = run.run(job, "--timeline", str(path), "--timeline-ios", str(ios), ios=ios, file=file, tick=tick)
    told = timeline(path)
    began_ns = int(told["submit_ns"].min())
    columns = {
        "slot": told["slot"].astype(np.int64),
        "offset_bytes": told["offset_bytes"].astype(np.int64),
        "submit_ns": told["submit_ns"].astype(np.int64) - began_ns,
        "complete_ns": told["complete_ns"].astype(np.int64) - began_ns,
        "latency_ns": (told["complete_ns"] - told["submit_ns"]).astype(np.int64),
    }
    return pd.DataFrame(columns).sort_values("submit_ns", kind="stable", ignore_index=True), outcome.command


def overlap(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how many I/Os were under way at once, from a frame of `lanes`.

    Returns a frame with a row an engine: engine, ios, most (at any moment), in_flight (in the mean).
    """
    rows = []
    for name, ios in frame.groupby("engine", sort=False):
        # an I/O that ends in the moment in which another begins does not overlap it: ends first
        moments = pd.concat([pd.Series(-1, index=ios["complete_ns"]), pd.Series(1, index=ios["submit_ns"])])
        under_way = moments.sort_index(kind="stable").cumsum()
        lasted = ios["complete_ns"].max() - ios["submit_ns"].min()
        in_flight = ios["latency_ns"].sum() / lasted
        rows.append({"engine": name, "ios": len(ios), "most": under_way.max(), "in_flight": in_flight})
    made = schema.frame(rows)
    made.attrs.update(frame.attrs)
    return made


def content(
    engine: str | Sequence[str] = ENGINES, operation: str = "read", *, progress: Progress | None = None
) -> pd.DataFrame:
    """Read, or write, a whole file by each engine, compare every byte, and add all words up.

    Returns a frame with a row for each engine and cache: engine, cache, operation, ios, bytes, verified (blocks
    compared), checksum. A block with wrong content is an error (`WorkloadError`).
    """
    jobs = [
        Job(name, operation, "random", way, 16384, _depth(name, 16))
        for name in check_choices("engine", engine, ENGINES)
        for way in ("direct", "cold", "warm")
    ]
    report, ios = progress or silent, jobs[0].file_bytes // jobs[0].block_bytes
    with exclusive("lesson 07: content", report):
        verify = ("--verify", "during" if operation == "read" else "after")
        found, warnings = _each(Runner(None), jobs, ios, report, *verify)
        facts = provenance(command=found[-1][1].command, warnings=warnings)
    rows = [
        {
            "engine": job.engine,
            "cache": job.cache,
            "operation": operation,
            "ios": outcome.told["ios"],
            "bytes": outcome.told["bytes"],
            "verified": outcome.told["verified_ios"],
            "checksum": f"{outcome.told['checksum']:#018x}",
        }
        for job, outcome in found
    ]
    report(1.0, "done")
    return schema.frame(rows, **facts)


def in_memory(ios: int | None = None, *, progress: Progress | None = None) -> pd.DataFrame:
    """Read a file on a file system in memory (tmpfs), and one in the page cache: who does the work?

    Parameters
    ----------
    ios : reads of each, 1 to 100000; None is 4999 (499 in a hurry).
    progress : see `labkit.running.progress`.

    Returns a frame with a row for each engine and file system: engine, filesystem, ios, punted (I/Os that io_uring gave
    to a worker thread, by eBPF), workers (threads of that name), worker_cpu_s, p50_ns, ios_per_s.

    Raises
    ------
    Missing : there is no tmpfs at /dev/shm, or the data folder is in one too, or BPF cannot be loaded, or io_uring is
        refused.
    """
    ios = check_int("ios", quick(4999, 499) if ios is None else ios, 1, MOST_IOS, "I/Os")
    if not MEMORY.is_dir() or mount_of(MEMORY).kind != "tmpfs":
        raise Missing(f"{MEMORY} is no tmpfs here.", f"mount -t tmpfs tmpfs {MEMORY}")
    if mount_of(data_folder()).kind in IN_MEMORY:
        raise Missing(
            f"The data folder {data_folder()} is in memory too, so there is no disk to compare with.",
            "set LABKIT_DATA to a folder on a disk",
        )
    report, rows = progress or silent, []
    with exclusive("lesson 07: a file in memory", report), runner() as run:
        for number, (name, folder) in enumerate((name, f) for f in (MEMORY, None) for name in ("sync", "io_uring")):
            tick = lambda gone_s, share=number / 4, note=name: report(share, note)  # noqa: E731
            outcome = run.run(Job(name, cache="warm"), ios=ios, folder=folder, tick=tick)
            told = outcome.told
            workers = [thread for thread in told["kernel_threads"] if thread["name"].startswith("iou-wrk")]
            rows.append(
                {
                    "engine": name,
                    "filesystem": told["filesystem"],
                    "ios": told["ios"],
                    "punted": outcome.punted,
                    "workers": len(workers),
                    "worker_cpu_s": sum(thread["cpu_s"] for thread in workers),
                    "p50_ns": quantile(outcome.latency, 0.5),
                    "ios_per_s": told["ios"] / told["elapsed_s"],
                }
            )
        facts = provenance(command=outcome.command)
    report(1.0, "done")
    return schema.frame(rows, **facts)


def _depth(engine: str, queue_depth: int) -> int:
    queue_depth = check_int("queue_depth", queue_depth, 1, 1024, "I/Os")
    return 1 if engine == "sync" else queue_depth


def _each(
    run: Runner, jobs: Sequence[Job], ios: int, report: Progress, *more: str, file: Path | None = None
) -> tuple[list[tuple[Job, Outcome]], list[str]]:
    """Run the jobs one after the other; an engine that this machine lacks is left out, with a warning."""
    found: list[tuple[Job, Outcome]] = []
    refused: dict[str, WorkloadUnable] = {}
    for done, job in enumerate(jobs):
        note, share = f"{job.engine}, {job.cache}", done / len(jobs)
        if job.engine in refused:
            continue
        try:
            tick = lambda gone_s, note=note, share=share: report(share, note)  # noqa: E731
            found.append((job, run.run(job, *more, ios=ios, file=file, tick=tick)))
        except WorkloadUnable as error:
            refused[job.engine] = error
    if not found:
        raise next(iter(refused.values()))
    return found, [f"{error.what} Fix: {error.fix}" for error in refused.values()]
