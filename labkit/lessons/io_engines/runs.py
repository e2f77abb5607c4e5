# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: one run of a job: what the program reports of itself, and what the kernel saw where a probe was attached.

Rates, latencies and CPU times come from runs with nothing attached. System calls and sleeps come from separate runs of
the same job, with c/bpf/io_engines.c attached: probes slow the program down (`probe_cost.py` measures by how much).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.bpf.program import Program
from labkit.errors import WorkloadError
from labkit.lessons._io import honest
from labkit.lessons._io.job import DEEP_ENGINES, Job
from labkit.lessons._io.watch import lacking, watching
from labkit.running.progress import Tick
from labkit.running.workload import Workload, build
from labkit.stats.histogram import BUCKETS, Counts, from_buckets

__all__ = [
    "CALLS",
    "JobRun",
    "KernelCounts",
    "attached",
    "batch_of",
    "depth_of",
    "doubts",
    "refusal",
    "run_job",
    "total",
]

# enum call of c/bpf/io_engines.c
CALLS = (
    "elsewhere",
    "pread64",
    "pwrite64",
    "preadv2",
    "pwritev2",
    "io_submit",
    "io_getevents",
    "io_uring_enter (submit)",
    "io_uring_enter (wait)",
)
_SUMS = (
    "ios",
    "bytes",
    "elapsed_s",
    "user_s",
    "system_s",
    "kernel_threads_s",
    "latency_sum_ns",
    "service_sum_ns",
    "offered_ios",
    "cached_ios",
    "minor_faults",
    "major_faults",
    "device_read_bytes",
    "device_write_bytes",
)


@dataclass(frozen=True)
class KernelCounts:
    """What the kernel saw of one run, or of several that were added up, by system call (see `CALLS`)."""

    durations: npt.NDArray[np.int64]  # histogram by call: shape (len(CALLS), BUCKETS)
    slept: npt.NDArray[np.int64]  # how often a thread went to sleep in the call
    preempted: npt.NDArray[np.int64]  # how often the CPU was taken from it
    punted: int  # I/Os that io_uring handed to a worker thread
    lost: int  # calls that the program had no room for

    def __add__(self, other: KernelCounts) -> KernelCounts:
        return KernelCounts(
            self.durations + other.durations,
            self.slept + other.slept,
            self.preempted + other.preempted,
            self.punted + other.punted,
            self.lost + other.lost,
        )

    @property
    def calls(self) -> int:
        """How many system calls for I/O the kernel saw."""
        return int(self.durations.sum())


@dataclass(frozen=True)
class JobRun:
    """One run of a job; `+` adds several runs of the same job up."""

    report: dict[str, Any]  # the program's own JSON
    latency: Counts  # histogram of the I/Os, by the program
    kernel: KernelCounts | None  # None: nothing was attached
    command: list[str]

    def __add__(self, other: JobRun) -> JobRun:
        known = [name for name in _SUMS if name in self.report]
        report = {**other.report, **{name: self.report[name] + other.report[name] for name in known}}
        report["calls"] = {name: self.report["calls"][name] + count for name, count in other.report["calls"].items()}
        kernel = None if self.kernel is None or other.kernel is None else self.kernel + other.kernel
        return replace(other, report=report, latency=self.latency + other.latency, kernel=kernel)

    @property
    def own_calls(self) -> int:
        """How many system calls the program counted for its I/O."""
        return sum(count for name, count in self.report["calls"].items() if name != "fdatasync")

    @property
    def ios_per_s(self) -> float:
        """How many I/Os ended per second."""
        return float(self.report["ios"] / self.report["elapsed_s"])

    @property
    def cpu_ns_per_io(self) -> float:
        """CPU time per I/O, of the program and of the kernel threads that work for it."""
        cpu_s = self.report["user_s"] + self.report["system_s"] + self.report["kernel_threads_s"]
        return float(1e9 * cpu_s / self.report["ios"])

    @property
    def in_flight(self) -> float:
        """How many I/Os were in flight on average (Little's law); what waits for its turn is not in flight."""
        took_ns = self.report.get("service_sum_ns", self.report["latency_sum_ns"])
        return float(took_ns / 1e9 / self.report["elapsed_s"])

    @property
    def seen(self) -> KernelCounts:
        """What the kernel saw; only where the run was watched."""
        assert self.kernel is not None
        return self.kernel


def depth_of(engine: str, queue_depth: int) -> int:
    """Return the depth that an engine can have: 1 for those with one I/O at a time."""
    return queue_depth if engine in DEEP_ENGINES else 1


def batch_of(engine: str, queue_depth: int, batch: int | None = None) -> int:
    """Return the I/Os per call: `batch`, or a quarter of the depth, and 1 for engines with a call per I/O."""
    if engine == "pool" or engine not in DEEP_ENGINES:
        return 1
    return max(1, queue_depth // 4) if batch is None else batch


def doubts(job: Job, runs: list[JobRun]) -> list[str]:
    """Return what witnesses outside of the program do not confirm: direct, cold, warm, the depth, the file's size."""
    made = total(runs)
    return honest.doubts(job, {**made.report, "in_flight": made.in_flight})


def total(runs: list[JobRun]) -> JobRun:
    """Return the sum of several runs of one job: counts, times and histograms are added."""
    return reduce(add, runs)


def run_job(
    job: Job,
    *more: str,
    seconds: float = 0.0,
    ios: int = 0,
    file: Path | None = None,
    folder: Path | None = None,
    program: Program | None = None,
    tick: Tick | None = None,
) -> JobRun:
    """Run a job once.

    Parameters
    ----------
    more : further options of io_engines.
    seconds, ios : how long; one of them.
    file, folder : the data file, or where to make one.
    program : from `attached`, to watch this run; None: nothing is attached.
    tick : see `labkit.running.progress`.
    """
    arguments = [*job.arguments(seconds=seconds, ios=ios, file=file, folder=folder), *more]
    with Workload(build("io_engines"), arguments) as run:
        if program is not None:
            program.clear("threads", "durations", "slept", "preempted", "punted", "labkit_lost")
            program.aim(pid=run.pid)
        report = run.go(timeout_s=60 + 10 * seconds + ios / 10, tick=tick)
    report["latency_sum_ns"] = report["latency_ns"]["sum_ns"]
    if "service_ns" in report:
        report["service_sum_ns"] = report["service_ns"]["sum_ns"]
    kernel = None if program is None else _counts(program)
    return JobRun(report, from_buckets(report["latency_ns"]["buckets"]), kernel, run.command)


def refusal(job: Job, file: Path | None) -> WorkloadError | None:
    """Return why this machine cannot do a job, or None: the program gets ready and leaves."""
    try:
        with Workload(build("io_engines"), job.arguments(ios=1, file=file)):
            return None
    except WorkloadError as error:
        return error


def attached(
    warnings: list[str] | None = None, jobs: Iterable[Job] | None = None
) -> AbstractContextManager[Program | None]:
    """Attach c/bpf/io_engines.c during a block and yield it, for `run_job`.

    Parameters
    ----------
    warnings : where to say that BPF cannot be loaded; then None is yielded. None: that is an error (`Missing`).
    jobs : only the tracepoints of the calls by which these do I/O are attached; None: of all that an engine can make,
        which takes a second to detach.
    """
    calls = {call for job in jobs or () for call in job.calls}
    if "io_getevents" in calls:
        calls.add("io_pgetevents")  # newer versions of libaio make it in its place

    def is_wanted(function: str) -> bool:
        _, of_a_call, call = function.partition("tracepoint__syscalls__sys_")
        return not of_a_call or jobs is None or call.partition("_")[2] in calls

    return watching("io_engines", _flags, warnings, is_wanted)


def _counts(program: Program) -> KernelCounts:
    return KernelCounts(
        program.histogram("durations").reshape(len(CALLS), BUCKETS),
        program.counters("slept").astype(np.int64),
        program.counters("preempted").astype(np.int64),
        int(program.counters("punted")[0]),
        program.lost_events,
    )


def _flags() -> dict[str, int]:
    """Return what this kernel has no system calls for, as macros of the C file."""
    return lacking({"NO_AIO": "syscalls/sys_enter_io_submit", "NO_IO_URING": "io_uring/io_uring_queue_async_work"})
