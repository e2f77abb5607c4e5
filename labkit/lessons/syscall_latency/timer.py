"""Lesson 06: run a job of io_engines with the timer (c/bpf/syscall_latency.c) attached to it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labkit.bpf.maps import write_array
from labkit.bpf.program import Program
from labkit.lessons._io.job import Job
from labkit.running.progress import Tick
from labkit.running.workload import Workload
from labkit.stats.histogram import Counts, from_buckets, quantile

__all__ = ["Timed", "flags", "timed"]

_TIME_SCALE = np.dtype([("begin_ns", "u8"), ("slice_ns", "u8")])


@dataclass(frozen=True)
class Timed:
    """What one setting came to: the program's own report, and the histogram from the kernel; may be added up."""

    told: dict[str, Any]
    counts: Counts  # by the timer
    program: Counts  # by the program itself
    command: list[str]

    def __add__(self, other: Timed) -> Timed:
        told = {**other.told, **{name: self.told[name] + other.told[name] for name in ("ios", "bytes", "elapsed_s")}}
        return replace(other, told=told, counts=self.counts + other.counts, program=self.program + other.program)

    @property
    def program_p50_ns(self) -> float:
        return float(quantile(self.program, 0.5))


def flags(job: Job) -> dict[str, str]:
    """Return the flags for the timer: which call it times. A synchronous job does its I/O by one kind of call."""
    (call,) = job.calls
    return {"CALL": f"__NR_{call}"}


def timed(
    program: Program,
    job: Job,
    *,
    seconds: float = 0.0,
    ios: int = 0,
    file: Path | None = None,
    tick: Tick | None = None,
    slice_s: float = 0.0,
) -> Timed:
    """Run one job with the timer attached from before its first call until after its last.

    Parameters
    ----------
    program : the timer, loaded and with empty maps.
    seconds, ios : how long, or how many; 0 is no limit, but one of them there must be.
    file : what it reads; None: it makes a file of its own.
    tick : see `labkit.running.workload`.
    slice_s : the width of the heat map's slices of time, which begin now; 0: there is no heat map.
    """
    with Workload("io_engines", job.arguments(seconds=seconds, ios=ios, file=file)) as run:
        program.aim(pid=run.pid)
        program.attach()
        if slice_s:
            scale = np.array([(time.monotonic_ns(), int(slice_s * 1e9))], dtype=_TIME_SCALE)
            write_array(program.map_fd("time_scale"), scale)
        told = run.go(timeout_s=60 + 10 * seconds + ios / 10, tick=tick)
        program.detach()
    return Timed(told, program.histogram("latency"), from_buckets(told["latency_ns"]["buckets"]), run.command)
