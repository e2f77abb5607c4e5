# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: arms of io_engines: what only the kernel can count from one watched run each, costs from unwatched slices.

The workload is lesson 07's (c/workloads/io_engines/) with its options for io_uring alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_int
from labkit.lessons._io.honest import doubts
from labkit.lessons._io.job import Job
from labkit.lessons.uring.runs import ENTERS, PROGRAM, SQPOLL, UringRun, attached, run
from labkit.machine.provenance import provenance
from labkit.running.progress import Progress, Tick, part
from labkit.stats import trial
from labkit.stats.histogram import from_buckets, quantile

__all__ = ["WATCHED", "Arm", "costs_of", "job_of", "per_slice", "summary"]

# columns from the watched run of each arm; all others come from unwatched slices
WATCHED = ("watched_ios", "calls_per_io", *ENTERS, "by_program", "by_sqpoll")
_MEDIANS = ("p50_ns", "ios_per_s", "program_cpu_ns_per_io", "kernel_cpu_ns_per_io", "cpu_ns_per_io")
_SUMS = ("ios", "calls")


@dataclass(frozen=True)
class Arm:
    """A job, further options of io_engines, and the columns that name it in the frame."""

    job: Job
    options: tuple[str, ...]
    setting: dict[str, Any] = field(default_factory=dict)


def job_of(batch: int, block_bytes: int, cache: str) -> Job:
    """Return a job in which all that one call submits is also waited for by one call."""
    batch = check_int("batch", batch, 1, 1024, "I/Os")
    return Job("io_uring", cache=cache, block_bytes=block_bytes, queue_depth=batch, batch=batch, wait_for=batch)


def per_slice(
    arms: Mapping[str, Arm],
    file: Path | None,
    *,
    seconds: float,
    slices: int,
    seed: int,
    report: Progress,
    cpu: int | None = None,
    must_watch: bool = False,
) -> pd.DataFrame:
    """Run each arm once watched, then all of them in interleaved slices with nothing attached, the first one twice.

    Parameters
    ----------
    arms : by name, the baseline first.
    file : the data file.
    cpu : where the program runs; None: anywhere.
    must_watch : raise `Missing` where BPF cannot be loaded; else a warning says so, watched_ios is 0 then, calls_per_io
        is NaN, and the other columns of `WATCHED` are left out.

    Returns the frame that `labkit.lessons.uring.batches.measure` describes.
    """
    warnings: list[str] = []

    def one(name: str, tick: Tick, **how: Any) -> UringRun:
        arm = arms[name.removesuffix(trial.AGAIN)]
        arguments = [*arm.job.arguments(seconds=seconds, file=file), *arm.options]
        return run("io_engines", arguments, cpu=cpu, tick=tick, **how)

    watched: dict[str, UringRun] = {}
    with attached(None if must_watch else warnings) as program:
        if program is not None:
            watched = trial.once(
                {name: name for name in arms},
                lambda name, tick: one(name, tick, program=program),
                progress=part(report, 0, 0.2),
                seconds=seconds,
            )
    first = next(iter(arms))
    planned = [*arms, first + trial.AGAIN]
    unwatched = trial.interleaved(
        planned, one, slices=slices, seed=seed, progress=part(report, 0.2, 1), seconds=seconds
    )
    runs = unwatched.by_arm()
    rows = []
    for name in [name for name in planned if name in runs]:
        arm = name.removesuffix(trial.AGAIN)
        counts = _counts(watched.get(arm))
        for number, each in enumerate(runs[name]):
            program_report = {"ios": each.report["ios"], "calls": each.own_calls, **costs_of(each.report)}
            rows.append({"arm": name, "slice": number, **arms[arm].setting, **program_report, **counts})
    frame = schema.frame(rows)
    warnings += [*unwatched.warnings, *_doubts(arms, runs), *_ratios(frame).attrs["warnings"]]
    facts = provenance(
        command=unwatched.taken[0].value.command,
        seed=seed,
        baseline=first,
        watched_columns=list(WATCHED),
        lost_events=sum(each.seen.lost for each in watched.values()),
        warnings=list(dict.fromkeys(warnings)),
    )
    return schema.frame(frame, **facts)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per arm, from a frame of `measure` or `sqpoll`.

    Returns a frame with arm, its setting, and slices; ios and calls of all its unwatched slices; the columns of the
    watched run; medians of p50_ns, ios_per_s, program_cpu_ns_per_io, kernel_cpu_ns_per_io and cpu_ns_per_io; ratio,
    low, high (cpu_ns_per_io divided by that of the first arm, slice by slice, with the 95 % interval; 1 for the first
    arm itself). The arm "(again)" is the first one a second time: its interval shows the noise.
    """
    tables, warnings = [], list(frame.attrs.get("warnings", []))
    for _, run_rows in frame.groupby("run" if "run" in frame else (lambda _: 0), sort=False):
        by_arm = run_rows.groupby("arm", sort=False)
        same = by_arm.first().drop(columns=["slice", *_MEDIANS, *_SUMS])
        counts = by_arm[list(_SUMS)].sum().assign(slices=by_arm.size())
        found = _ratios(run_rows)
        ratios = found.set_index("arm")[["ratio", "low", "high"]].reindex(same.index).fillna(1.0)
        tables.append(pd.concat([same, counts, by_arm[list(_MEDIANS)].median(), ratios], axis=1).reset_index())
        warnings += [warning for warning in found.attrs["warnings"] if warning not in warnings]
    return schema.derived(pd.concat(tables, ignore_index=True), frame, warnings=warnings)


def costs_of(report: dict[str, Any]) -> dict[str, float]:
    """Return what the I/Os of one run cost, by the program's report."""
    program_ns = 1e9 * (report["user_s"] + report["system_s"]) / report["ios"]
    kernel_ns = round(1e9 * report["kernel_threads_s"] / report["ios"], 3)  # a difference of sums
    return {
        "p50_ns": float(quantile(from_buckets(report["latency_ns"]["buckets"]), 0.5)),
        "ios_per_s": report["ios"] / report["elapsed_s"],
        "program_cpu_ns_per_io": program_ns,
        "kernel_cpu_ns_per_io": kernel_ns,
        "cpu_ns_per_io": program_ns + kernel_ns,
    }


def _counts(watched: UringRun | None) -> dict[str, Any]:
    """Return the columns of `WATCHED`."""
    if watched is None:
        return {"watched_ios": 0, "calls_per_io": float("nan")}
    seen, ios = watched.seen, watched.report["ios"]
    return {
        "watched_ios": ios,
        "calls_per_io": seen.count(*ENTERS) / ios,
        **{event: seen.count(event) for event in ENTERS},
        "by_program": seen.count("sqe consumed", thread=PROGRAM),
        "by_sqpoll": seen.count("sqe consumed", thread=SQPOLL),
    }


def _ratios(frame: pd.DataFrame) -> pd.DataFrame:
    slices = frame.assign(value=frame["cpu_ns_per_io"])[["arm", "slice", "value"]]
    return trial.ratios(slices, str(slices["arm"].iloc[0]))


def _doubts(arms: Mapping[str, Arm], runs: Mapping[str, list[UringRun]]) -> list[str]:
    """Return what witnesses outside of the program do not confirm of each arm."""
    return [warning for name, arm in arms.items() if name in runs for warning in _of_one(arm.job, runs[name])]


def _of_one(job: Job, runs: list[UringRun]) -> list[str]:
    reports = [each.report for each in runs]
    known: list[str] = [name for name in ("ios", "bytes", "elapsed_s", "device_read_bytes") if name in reports[0]]
    sums = {name: sum(report[name] for report in reports) for name in known}
    in_flight = sum(report["latency_ns"]["sum_ns"] for report in reports) / 1e9 / sums["elapsed_s"]
    return doubts(job, {**reports[-1], **sums, "in_flight": in_flight})
