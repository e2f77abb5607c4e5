# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: inside io_uring: how many calls, who hands over, what is saved by telling the kernel beforehand.

The workload is lesson 07's (c/workloads/io_engines/) with its options for io_uring alone; who does what comes from the
kernel (c/bpf/uring.c, through `uring_run.py`). The rings themselves are in `uring_rings.py`, other kinds of I/O in
`uring_tour.py`, the exercises in `uring_exercises.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
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
from labkit.running.progress import Progress, Tick, part, silent
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
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Read blocks through io_uring, one batch per call.

    What only the kernel can count comes from a watched run of each setting; what the reads cost comes from interleaved
    slices with nothing attached.

    Parameters
    ----------
    batch : one number or several, 1 to 1024: reads submitted, and waited for, per call.
    block_bytes : 512 bytes to 4 MiB.
    submitter : one or both of "program" (by io_uring_enter) and "iou-sqp" (SQPOLL: a kernel thread watches the ring).
    register : what the kernel is told beforehand: "nothing", "buffers", "files" or "both".
    cache : "warm", "cold" (page cache with the file in it, without) or "direct" (O_DIRECT).
    seconds : how long each slice runs, 0.01 to 60; None is 0.1 (0.02 in a hurry).
    slices : unwatched slices per setting, at least 2; None is 6 (2 in a hurry). The first setting runs twice.
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per setting: submitter, batch, block_bytes, registered; from the watched run ios, calls (of io_uring_enter,
    by the program's own count), hand_overs, waits, wakes (the same calls by their purpose, as the kernel saw them; left
    out where BPF cannot be loaded), calls_per_io (by the kernel; NaN there); medians of the unwatched slices: p50_ns,
    ios_per_s, program_cpu_ns_per_io, kernel_cpu_ns_per_io (of the threads that work for the program), cpu_ns_per_io
    (both); ratio, low, high (cpu_ns_per_io divided by that of the first setting, with its 95 % interval; 1 for the
    first), slices.

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
    slices, seed = trial.check_slices(slices, 6, 2), check_seed(seed)
    warnings: list[str] = []
    with exclusive("lesson 08: batches", progress) as report, shared_file([job for _, job in settings]) as file:
        arms = {
            f"{who}, batch {job.batch}": [*job.arguments(seconds=seconds, file=file), *_way(who), *REGISTERED[register]]
            for who, job in settings
        }
        watched = _watched(arms, None, part(report, 0, 0.2), warnings)
        costs = _unwatched(arms, None, seconds, slices, seed, part(report, 0.2, 1), warnings)
        facts = provenance(command=watched[next(iter(arms))].command, warnings=warnings, seed=seed)
    rows = [
        {"submitter": who, "batch": job.batch, "block_bytes": block_bytes, "registered": register,
         **_calls(watched[arm]), **costs.loc[arm]}
        for arm, (who, job) in zip(arms, settings, strict=True)
    ]  # fmt: skip
    return schema.frame(rows, **facts)


Arms = Mapping[str, Sequence[str]]  # name -> options of io_engines


def _watched(arms: Arms, cpu: int | None, report: Progress, warnings: list[str] | None) -> dict[str, Watched]:
    """Run each arm once, watched by eBPF: who calls, and who takes the requests, are facts that need no repetition."""
    found = {}
    with watcher(warnings) as run:
        for done, (arm, options) in enumerate(arms.items()):
            report(done / len(arms), f"{arm}, watched")
            found[arm] = run.run("io_engines", options, cpu=cpu)
    return found


def _unwatched(
    arms: Arms, cpu: int | None, seconds: float, slices: int, seed: int, report: Progress, warnings: list[str]
) -> pd.DataFrame:
    """Run the arms in interleaved slices with nothing attached, the first one twice; add doubts to `warnings`.

    Returns a frame with one row per arm, by its name: the medians of `_costs`, ratio, low, high and slices.
    """
    first, run = next(iter(arms)), Watcher(None)
    everyone = {**arms, first + trial.AGAIN: arms[first]}

    def one(arm: str, tick: Tick) -> dict[str, Any]:
        return _costs(run.run("io_engines", everyone[arm], cpu=cpu, tick=tick).told)

    made = trial.interleaved(list(everyone), one, slices=slices, seed=seed, progress=report, seconds=seconds).frame()
    found = trial.ratios(made.assign(value=made["cpu_ns_per_io"]), first)
    warnings += [warning for warning in found.attrs["warnings"] if warning not in warnings]
    costs = made.drop(columns="slice").groupby("arm").median()
    ratios = found.set_index("arm")[["ratio", "low", "high", "slices"]].reindex(costs.index)
    return costs.join(ratios.fillna({"ratio": 1.0, "low": 1.0, "high": 1.0, "slices": slices}))


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
    program_ns = 1e9 * (told["user_s"] + told["system_s"]) / told["ios"]
    kernel_ns = round(1e9 * told["kernel_threads_s"] / told["ios"], 3)  # a difference of sums
    return {
        "p50_ns": float(quantile(from_buckets(told["latency_ns"]["buckets"]), 0.5)),
        "ios_per_s": told["ios"] / told["elapsed_s"],
        "program_cpu_ns_per_io": program_ns,
        "kernel_cpu_ns_per_io": kernel_ns,
        "cpu_ns_per_io": program_ns + kernel_ns,
    }


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
    One row per arm, and one for "the program (again)", which shows the noise: arm; from a watched run ios, hand_overs,
    waits, wakes (calls of io_uring_enter by the program), by_program, by_sqpoll (requests taken from the ring, by the
    thread that took them); medians of unwatched slices: ios_per_s, program_cpu_ns_per_io, kernel_cpu_ns_per_io,
    cpu_ns_per_io (both); ratio, low, high (cpu_ns_per_io divided by that of the program, with its 95 % interval),
    slices. With one CPU only, the arms that need two are left out, with a warning.

    Raises
    ------
    Missing : BPF cannot be loaded, or io_uring is refused.
    """
    job = _job(batch, 4096, cache)
    seconds = check_float("seconds", quick(0.1, 0.05) if seconds is None else seconds, 0.01, 60, "seconds")
    slices, seed = trial.check_slices(slices, 6, 2), check_seed(seed)
    cpus = sorted(os.sched_getaffinity(0))
    warnings: list[str] = []
    if len(cpus) == 1:
        warnings.append("This machine has one CPU: the submitting thread must share it with the program.")
    with exclusive("lesson 08: who submits", progress) as report, shared_file([job]) as file:
        arguments = job.arguments(seconds=seconds, file=file)
        arms = {arm: [*arguments, *options] for arm, options in submitters(cpus).items()}
        first = next(iter(arms))
        watched = _watched({**arms, first + trial.AGAIN: arms[first]}, cpus[0], part(report, 0, 0.2), None)
        costs = _unwatched(arms, cpus[0], seconds, slices, seed, part(report, 0.2, 1), warnings)
        facts = provenance(command=watched[first].command, warnings=warnings, seed=seed, baseline=first)
    rows = [{"arm": arm, **_calls(run), **_takers(run), **costs.loc[arm]} for arm, run in watched.items()]
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
