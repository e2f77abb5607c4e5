# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: inside io_uring: how many calls, who hands over, what is saved by telling the kernel beforehand.

The workload is lesson 07's (c/workloads/io_engines/) with its options for io_uring alone; who does what comes from the
kernel (c/bpf/uring.c, through `uring_run.py`). The rings themselves are in `uring_rings.py`, other kinds of I/O in
`uring_tour.py`, the exercises in `uring_exercises.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_choice, check_float, check_int, check_seed, several
from labkit.lessons._io.job import Job, shared_file
from labkit.lessons.uring.watched import ENTERS, PROGRAM, SQPOLL, WORKER, Watched, Watcher, watcher
from labkit.machine.folders import quick
from labkit.machine.mounts import mount_of
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, part, silent
from labkit.stats import trial
from labkit.stats.histogram import from_buckets, quantile

__all__ = ["BATCHES", "REGISTERED", "measure", "registered", "savings", "sqpoll", "submitters", "workers"]

MEMORY = Path("/dev/shm")
MOST_IOS = 100_000
BATCHES = (1, 2, 4, 8, 16, 32, 64)
SUBMITTERS = (PROGRAM, SQPOLL)
REGISTERED = {
    "nothing": (),
    "buffers": ("--registered-buffers",),
    "files": ("--registered-files",),
    "both": ("--registered-buffers", "--registered-files"),
}


def measure(
    batch: int | Sequence[int] = BATCHES,
    block_bytes: int = 4096,
    submitter: str | Sequence[str] = PROGRAM,
    register: str = "nothing",
    cache: str = "warm",
    *,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Read blocks through io_uring, so many with one call.

    Parameters
    ----------
    batch : one number or several, 1 to 1024: so many reads are handed over, and waited for, at once.
    block_bytes : 512 bytes to 4 MiB.
    submitter : one or both of "program" (by io_uring_enter) and "iou-sqp" (SQPOLL: a kernel thread watches the ring).
    register : what the kernel is told beforehand: "nothing", "buffers", "files" or "both".
    cache : "warm", "cold" (page cache with the file in it, without) or "direct" (O_DIRECT).
    seconds : how long each setting runs, 0.01 to 60; None is 0.1 (0.02 in a hurry).
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a setting: submitter, batch, block_bytes, registered, ios, calls (of io_uring_enter, by the program's own
    count), hand_overs, waits, wakes (the same calls by what they were for, as the kernel saw them; they are left out
    where BPF cannot be loaded), calls_per_io (by the kernel; NaN there), p50_ns, ios_per_s, program_cpu_ns_per_io,
    kernel_cpu_ns_per_io (of the threads that work for the program).

    Raises
    ------
    BadArgument : an argument is not allowed; nothing has been started.
    WorkloadUnable : this machine has no io_uring, refuses it, or lacks what was asked of it.
    """
    check_choice("register", register, REGISTERED)
    seconds = check_float("seconds", quick(0.1, 0.02) if seconds is None else seconds, 0.01, 60, "seconds")
    settings = [
        (check_choice("submitter", who, SUBMITTERS), _job(together, block_bytes, cache))
        for who, together in product(several("submitter", submitter), several("batch", batch))
    ]
    report, rows = progress or silent, []
    warnings: list[str] = []
    with (
        exclusive("lesson 08: batches", report),
        watcher(warnings) as run,
        shared_file([job for _, job in settings]) as file,
    ):
        for done, (who, job) in enumerate(settings):
            note = f"{who}, {job.batch} at once"

            def tick(gone_s: float, done: int = done, note: str = note) -> None:
                report((done + min(gone_s / seconds, 1)) / len(settings), note)

            options = [*job.arguments(seconds=seconds, file=file), *_way(who), *REGISTERED[register]]
            watched = run.run("io_engines", options, tick=tick)
            rows.append({"submitter": who, "batch": job.batch, "block_bytes": block_bytes, "registered": register,
                         **_calls(watched), **_costs(watched.told)})  # fmt: skip
        facts = provenance(command=watched.command, warnings=warnings)
    report(1.0, "done")
    return schema.frame(rows, **facts)


def _job(batch: int, block_bytes: int, cache: str) -> Job:
    """Return a job in which all that is handed over at once is waited for at once."""
    batch = check_int("batch", batch, 1, 1024, "I/Os")
    return Job("io_uring", cache=cache, block_bytes=block_bytes, queue_depth=batch, batch=batch, wait_for=batch)


def _way(submitter: str) -> tuple[str, ...]:
    return ("--one-call",) if submitter == PROGRAM else ("--sqpoll",)


def _calls(watched: Watched) -> dict[str, Any]:
    seen, ios = watched.seen, watched.told["ios"]
    row: dict[str, Any] = {"ios": ios, "calls": watched.own_calls, "calls_per_io": float("nan")}
    if seen is not None:
        row |= {"hand_overs": seen.count("hands over"), "waits": seen.count("waits"), "wakes": seen.count("wakes")}
        row["calls_per_io"] = seen.count(*ENTERS) / ios
    return row


def _costs(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "p50_ns": quantile(from_buckets(told["latency_ns"]["buckets"]), 0.5),
        "ios_per_s": told["ios"] / told["elapsed_s"],
        "program_cpu_ns_per_io": 1e9 * (told["user_s"] + told["system_s"]) / told["ios"],
        "kernel_cpu_ns_per_io": round(1e9 * told["kernel_threads_s"] / told["ios"], 3),  # a difference of sums
    }


def sqpoll(
    batch: int = 32, cache: str = "warm", *, seconds: float | None = None, progress: Progress | None = None
) -> pd.DataFrame:
    """Let the program hand over, then a kernel thread; with a CPU of its own, and on the program's CPU.

    Parameters
    ----------
    batch, cache, seconds, progress : as of `measure`; each read is 4 KiB.

    Returns
    -------
    One row a way: arm, ios, hand_overs, waits, wakes (calls of io_uring_enter by the program), by_program, by_sqpoll
    (requests taken from the ring, by the thread that took them), all from the kernel; ios_per_s,
    program_cpu_ns_per_io, kernel_cpu_ns_per_io. With one CPU only, the ways that need two are left out, with a warning.

    Raises
    ------
    Missing : BPF cannot be loaded, or io_uring is refused.
    """
    job = _job(batch, 4096, cache)
    seconds = check_float("seconds", quick(0.3, 0.05) if seconds is None else seconds, 0.01, 60, "seconds")
    cpus = sorted(os.sched_getaffinity(0))
    report, rows = progress or silent, []
    warnings: list[str] = []
    with exclusive("lesson 08: who hands over", report), watcher() as run, shared_file([job]) as file:
        arms = submitters(cpus)
        if len(cpus) == 1:
            warnings.append("This machine has one CPU: the submitting thread has to share it with the program.")
        for done, (arm, options) in enumerate(arms.items()):

            def tick(gone_s: float, done: int = done, arm: str = arm) -> None:
                report((done + min(gone_s / seconds, 1)) / len(arms), arm)

            arguments = [*job.arguments(seconds=seconds, file=file), *options]
            watched = run.run("io_engines", arguments, cpu=cpus[0], tick=tick)
            rows.append({"arm": arm, **_calls(watched), **_takers(watched), **_costs(watched.told)})
        facts = provenance(command=watched.command, warnings=warnings, threads=watched.kernel.rows())
    report(1.0, "done")
    return schema.frame(pd.DataFrame(rows).drop(columns=["calls_per_io", "calls", "p50_ns"]), **facts)


def submitters(cpus: Sequence[int]) -> dict[str, tuple[str, ...]]:
    """Return the ways to hand over, with their options of io_engines; the program runs on the first CPU."""
    own, shared = f"--sqpoll --sqpoll-cpu {cpus[-1]}", f"--sqpoll --sqpoll-cpu {cpus[0]}"
    ways = {
        "the program": "--one-call",
        "iou-sqp on its own CPU, the program sleeps": own,
        "iou-sqp on its own CPU, the program looks": f"{own} --spin",
        "iou-sqp on the program's CPU": shared,
    }
    return {arm: tuple(way.split()) for arm, way in ways.items() if "own CPU" not in arm or len(cpus) > 1}


def _takers(watched: Watched) -> dict[str, int]:
    return {
        "by_program": watched.kernel.count("request taken", thread=PROGRAM),
        "by_sqpoll": watched.kernel.count("request taken", thread=SQPOLL),
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
    block_bytes, cache : as of `measure`; 32 reads go with each call.
    slices : of each arm, 2 to 100; None is 6 (2 in a hurry). The arms of one block size are interleaved, and "nothing"
        runs twice: see `labkit.stats.trial`.
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a slice: block_bytes, arm ("nothing", "buffers", "files", "both", "nothing (again)"), slice, cpu_ns_per_io.
    `savings(frame)` turns it into ratios.
    """
    jobs = [_job(32, size, cache) for size in several("block_bytes", block_bytes)]
    slices = trial.check_slices(slices, 6, 2)
    seed = check_seed(seed)
    report, frames = progress or silent, []
    with exclusive("lesson 08: registered buffers and files", report), shared_file(jobs) as file:
        run = Watcher(None)
        for number, job in enumerate(jobs):
            ios = max(64, min(quick(20_000, 2000), (128 << 20) // job.block_bytes))
            ios = min(ios, 2000) if cache != "warm" else ios
            options = [*job.arguments(ios=ios, file=file), "--one-call"]

            def slice_of(more: Sequence[str], options: Sequence[str] = options) -> float:
                told = run.run("io_engines", [*options, *more]).told
                return 1e9 * float(told["user_s"] + told["system_s"] + told["kernel_threads_s"]) / int(told["ios"])

            arms = {arm: (lambda more=more: slice_of(more)) for arm, more in REGISTERED.items()}
            share = part(report, number / len(jobs), (number + 1) / len(jobs))
            found = trial.compare(arms, baseline="nothing", slices=slices, seed=seed, progress=share)
            frames.append(found.assign(block_bytes=job.block_bytes).rename(columns={"value": "cpu_ns_per_io"}))
        facts = provenance(slices=slices, baseline="nothing", cache=cache)
    report(1.0, "done")
    return schema.frame(pd.concat(frames, ignore_index=True), **facts)


def savings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what registering saved, from a frame of `registered`.

    Returns a frame with a row for each block size and arm: block_bytes, arm, cpu_ns_per_io (median), saved_ns (how much
    less than with nothing registered), ratio, low, high (to nothing registered, with the 95 % interval).
    """
    rows, warnings = [], list(frame.attrs.get("warnings", []))
    for size, slices in frame.rename(columns={"cpu_ns_per_io": "value"}).groupby(frame["block_bytes"].astype(int)):
        medians = slices.groupby("arm")["value"].median()
        found = trial.ratios(slices, "nothing")
        news = [said for said in found.attrs["warnings"] if said not in warnings]
        warnings += [said if said == trial.TOO_FEW else f"{schema.si_bytes(size)}: {said}" for said in news]
        for row in found.to_dict("records"):
            median = medians[row["arm"]]
            saved = {"cpu_ns_per_io": median, "saved_ns": medians["nothing"] - median}
            ratio = {name: row[name] for name in ("ratio", "low", "high")}
            rows.append({"block_bytes": size, "arm": row["arm"], **saved, **ratio})
    made = schema.frame(rows)
    made.attrs.update({**frame.attrs, "warnings": warnings})
    return made


def workers(ios: int | None = None, *, progress: Progress | None = None) -> pd.DataFrame:
    """Read where nothing has to be waited for, where nobody can promise that, and where workers are asked for.

    Parameters
    ----------
    ios : reads of each, 1 to 100000; None is 997 (211 in a hurry). 8 of them are under way at a time.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a place: place, filesystem, ios, calls (own), hand_overs, waits, punted (given to a worker), workers
    (threads named iou-wrk that ran), worker_runs (how often one of them had a CPU), worker_cpu_s. From the kernel, but
    for the last. Where there is no tmpfs at /dev/shm it is left out, with a warning.

    Raises
    ------
    Missing : BPF cannot be loaded, or io_uring is refused.
    """
    ios = check_int("ios", quick(997, 211) if ios is None else ios, 1, MOST_IOS, "I/Os")
    job = Job("io_uring", cache="warm", queue_depth=8)
    report, rows = progress or silent, []
    warnings: list[str] = []
    places: dict[str, tuple[Path | None, tuple[str, ...]]] = {
        "page cache": (None, ()),
        "tmpfs": (MEMORY, ()),
        "page cache, workers asked for": (None, ("--force-async",)),
    }
    if not MEMORY.is_dir() or mount_of(MEMORY).kind != "tmpfs":
        del places["tmpfs"]
        warnings.append(f"{MEMORY} is no tmpfs here, so it is left out.")
    with exclusive("lesson 08: workers", report), watcher() as run:
        for done, (place, (folder, more)) in enumerate(places.items()):
            tick = lambda _, done=done, place=place: report(done / len(places), place)  # noqa: E731
            watched = run.run("io_engines", [*job.arguments(ios=ios, folder=folder), *more], tick=tick)
            seen, told = watched.kernel, watched.told
            rows.append(
                {
                    "place": place,
                    "filesystem": told["filesystem"],
                    "ios": told["ios"],
                    "calls": watched.own_calls,
                    "hand_overs": seen.count("hands over"),
                    "waits": seen.count("waits"),
                    "punted": seen.count("given to a worker"),
                    "workers": seen.threads(WORKER),
                    "worker_runs": seen.count("ran", thread=WORKER),
                    "worker_cpu_s": told["kernel_threads_s"],
                }
            )
        facts = provenance(command=watched.command, warnings=warnings)
    report(1.0, "done")
    return schema.frame(rows, **facts)
