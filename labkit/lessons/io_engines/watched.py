"""Lesson 07: run a job of io_engines, and see from the kernel which system calls it makes and where it sleeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.bpf.program import TRACING, Program
from labkit.lessons._io.job import Job
from labkit.lessons._io.watch import watching
from labkit.running.progress import Tick
from labkit.running.workload import Workload, build
from labkit.stats.histogram import BUCKETS, Counts, from_buckets

__all__ = ["CALLS", "Outcome", "Runner", "runner"]

# enum call of c/bpf/io_engines.c
CALLS = (
    "elsewhere", "pread64", "pwrite64", "io_submit", "io_getevents", "io_uring_enter (hand over)",
    "io_uring_enter (wait)",
)  # fmt: skip
_SUMS = ("ios", "bytes", "elapsed_s", "user_s", "system_s", "kernel_threads_s", "latency_sum_ns")


@dataclass(frozen=True)
class Outcome:
    """What one job came to; several slices of it may be added up.

    `told` is the program's own report. The rest comes from the kernel, and is None where it cannot be watched.
    """

    told: dict[str, Any]
    latency: Counts  # of the I/Os, by the program
    calls: npt.NDArray[np.int64] | None  # histogram by call: shape (len(CALLS), BUCKETS)
    slept: npt.NDArray[np.int64] | None  # by call
    preempted: npt.NDArray[np.int64] | None
    punted: int
    command: list[str]

    def __add__(self, other: Outcome) -> Outcome:
        told = {**other.told, **{name: self.told[name] + other.told[name] for name in _SUMS}}
        told["calls"] = {name: self.told["calls"][name] + count for name, count in other.told["calls"].items()}
        return replace(
            other,
            told=told,
            latency=self.latency + other.latency,
            calls=_sum(self.calls, other.calls),
            slept=_sum(self.slept, other.slept),
            preempted=_sum(self.preempted, other.preempted),
            punted=self.punted + other.punted,
        )

    @property
    def own_calls(self) -> int:
        """How many system calls the program believes it made for its I/O."""
        return sum(count for name, count in self.told["calls"].items() if name != "fdatasync")

    @property
    def seen_calls(self) -> float:
        """How many of them the kernel saw; NaN where nobody watched."""
        return float("nan") if self.calls is None else float(self.calls.sum())


class Runner:
    """Runs jobs, watched by c/bpf/io_engines.c where this machine can load it."""

    def __init__(self, program: Program | None) -> None:
        self._program = program
        self._workload = build("io_engines")  # once, and not for each slice

    def check(self, job: Job, file: Path | None) -> None:
        """Get ready for a job and leave; raises what the workload refuses, before any other job has run."""
        with Workload(self._workload, job.arguments(ios=1, file=file)):
            pass

    def run(
        self,
        job: Job,
        *more: str,
        seconds: float = 0.0,
        ios: int = 0,
        file: Path | None = None,
        folder: Path | None = None,
        tick: Tick | None = None,
    ) -> Outcome:
        """Run one job for so long, or for so many I/Os, with more options of io_engines if need be."""
        program = self._program
        arguments = [*job.arguments(seconds=seconds, ios=ios, file=file, folder=folder), *more]
        with Workload(self._workload, arguments) as run:
            if program is not None:
                program.clear("threads", "latency", "slept", "preempted", "punted")
                program.aim(pid=run.pid)
            told = run.go(timeout_s=60 + 10 * seconds + ios / 10, tick=tick)
        told["latency_sum_ns"] = told["latency_ns"]["sum_ns"]
        latency = from_buckets(told["latency_ns"]["buckets"])
        if program is None:
            return Outcome(told, latency, None, None, None, 0, run.command)
        return Outcome(
            told,
            latency,
            program.histogram("latency").reshape(len(CALLS), BUCKETS),
            program.counters("slept").astype(np.int64),
            program.counters("preempted").astype(np.int64),
            int(program.counters("punted")[0]),
            run.command,
        )


@contextmanager
def runner(warnings: list[str] | None = None) -> Iterator[Runner]:
    """Attach the program and yield a `Runner`.

    Parameters
    ----------
    warnings : where to say that BPF cannot be loaded, and run unwatched; None: that is an error then (`Missing`).
    """
    with watching("io_engines", _flags, warnings) as program:
        yield Runner(program)


def _flags() -> dict[str, int]:
    """Return what this kernel has no system calls for, as the C file wants it."""
    events = TRACING / "events"
    has_aio = (events / "syscalls" / "sys_enter_io_submit").is_dir()
    has_uring = (events / "io_uring" / "io_uring_queue_async_work").is_dir()
    return {**({} if has_aio else {"NO_AIO": 1}), **({} if has_uring else {"NO_IO_URING": 1})}


def _sum(one: Any, other: Any) -> Any:
    return None if one is None or other is None else one + other
