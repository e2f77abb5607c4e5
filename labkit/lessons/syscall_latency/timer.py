# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: run a job of io_engines with the timer (c/bpf/syscall_latency.c) attached to it, or unwatched."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labkit.bpf.maps import write_array
from labkit.bpf.program import Program
from labkit.errors import LabkitError
from labkit.lessons._io.job import Job
from labkit.running.progress import Tick
from labkit.running.workload import Workload
from labkit.stats.histogram import BUCKETS, Counts, from_buckets, quantile

__all__ = ["TimedRun", "flags", "timed"]

_TIME_SCALE = np.dtype([("begin_ns", "u8"), ("slice_ns", "u8")])


@dataclass(frozen=True)
class TimedRun:
    """The program's own report of a run, and the histogram from the kernel. Runs of one setting can be added up."""

    told: dict[str, Any]
    counts: Counts  # by the timer; all zeros if the run was not watched
    program_counts: Counts  # by the program itself
    command: list[str]
    lost: int  # calls that the timer could not keep
    unseen: int = 0  # calls that it neither counted nor lost

    def __add__(self, other: TimedRun) -> TimedRun:
        told = {**other.told, **{name: self.told[name] + other.told[name] for name in ("ios", "bytes", "elapsed_s")}}
        return replace(
            other,
            told=told,
            counts=self.counts + other.counts,
            program_counts=self.program_counts + other.program_counts,
            lost=self.lost + other.lost,
            unseen=self.unseen + other.unseen,
        )

    @property
    def program_p50_ns(self) -> float:
        return float(quantile(self.program_counts, 0.5))

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the timer's count, if anything is."""
        if not self.unseen:
            return []
        what = f"The timer missed {self.unseen} of {self.told['ios']} calls, and the kernel does not count them as lost"
        return [f"{what}: run it again."]


def flags(job: Job, *, raw: bool = False) -> dict[str, str]:
    """Return the flags for the timer: which call it times. A synchronous job does its I/O by one kind of call.

    With `raw` the timer uses the raw tracepoints of all calls: every process of the machine pays for those.
    """
    (call,) = job.calls
    return {"RAW": "1", "CALL": f"__NR_{call}"} if raw else {"ENTER": f"sys_enter_{call}", "EXIT": f"sys_exit_{call}"}


def timed(
    program: Program | None,
    job: Job,
    *,
    seconds: float = 0.0,
    ios: int = 0,
    file: Path | None = None,
    tick: Tick | None = None,
    slice_s: float = 0.0,
) -> TimedRun:
    """Run one job with the timer attached from before its first call until after its last.

    Parameters
    ----------
    program : the timer, loaded; what it counted before is forgotten. None: nothing is attached.
    seconds, ios : how long, or how many; 0 is no limit, but one of the two must be given.
    file : what it reads; None: it makes its own file.
    tick : see `labkit.running.workload`.
    slice_s : the width of the heat map's slices of time, which begin now; 0: there is no heat map.

    Raises
    ------
    LabkitError : the timer saw nothing, and the kernel does not report that it skipped it.
    """
    if program:
        program.clear()
    with (
        Workload("io_engines", job.arguments(seconds=seconds, ios=ios, file=file)) as run,
        program.watching(run.pid) if program else nullcontext(),
    ):
        if program and slice_s:
            scale = np.array([(time.monotonic_ns(), int(slice_s * 1e9))], dtype=_TIME_SCALE)
            write_array(program.map_fd("time_scale"), scale)
        told = run.go(timeout_s=60 + 10 * seconds + ios / 10, tick=tick)
    counts = program.histogram("latency") if program else np.zeros(BUCKETS, dtype=np.int64)
    lost = program.lost_events if program else 0
    unseen = max(0, told["ios"] - int(counts.sum()) - lost) if program else 0
    if unseen and not counts.any():
        raise LabkitError(
            f"The timer saw none of the {told['ios']} calls that the program made.",
            "run the cell again; if that does not help, look at `labkit doctor`",
        )
    return TimedRun(told, counts, from_buckets(told["latency_ns"]["buckets"]), run.command, lost, unseen)
