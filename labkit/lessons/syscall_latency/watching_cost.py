# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: what watching costs: the program that is watched, and a bystander that is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.errors import LabkitError, WorkloadError, check_float, check_int
from labkit.lessons._io.job import Job, shared_file
from labkit.lessons.syscall_latency.io_stages import stages_program
from labkit.lessons.syscall_latency.other_tools import left_out
from labkit.lessons.syscall_latency.timer import flags
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.running.workload import Workload, build
from labkit.stats import trial

__all__ = ["CALL_HOOKS", "NOBODY", "NO_TIMER", "RAW_HOOKS", "STAGES", "STRACE", "TIMER", "bystander", "cost"]

NOBODY, TIMER, STAGES, STRACE = "nobody watches", "eBPF timer", "eBPF stages", "strace"
NO_TIMER = "no timer"
CALL_HOOKS, RAW_HOOKS = "timer on tracepoints of one call", "timer on raw tracepoints of all calls"
MOST_EVENTS = 10_000_000


def cost(
    cache: str = "warm",
    block_bytes: int = 512,
    *,
    seconds: float | None = None,
    slices: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure what watching costs the program that is watched: by nobody, the timer, the stages, strace.

    Parameters
    ----------
    cache, block_bytes : of its reads, as of `syscall_latency.histogram`. The default is the shortest read there is.
    seconds : how long each slice runs, 0.01 to 60; None is 0.05 (0.02 with LABKIT_QUICK=1).
    slices : per arm, at least 2, interleaved; None is 10 (2 with LABKIT_QUICK=1).
    progress : see `labkit.running.progress`.

    Returns one row per arm and slice: arm, slice, call, cache, block_bytes, ns_per_call; `added(frame)` says what each
    arm adds to a call. If strace is not installed, or may not follow a process, it is left out, with a warning.
    """
    job = Job(cache=cache, block_bytes=block_bytes)
    seconds = check_float("seconds", quick(0.05, 0.02) if seconds is None else seconds, 0.01, 60, "seconds")
    slices = trial.check_slices(slices, 10, 2)
    (call,) = job.calls
    strace, warnings = shutil.which(STRACE), list[str]()
    with (
        exclusive("lesson 06: what watching costs", progress) as report,
        Program("syscall_latency", flags=flags(job)) as timer,
        stages_program(job) as stations,
        shared_file([job]) as file,
    ):
        arguments = job.arguments(seconds=seconds, file=file)
        options = ["-qq", "-o", "/dev/null", "-e", f"trace={call}", str(build("io_engines")), *arguments]

        def ns_per_call(run: Workload) -> float:
            told = run.go(timeout_s=60 + 10 * seconds)
            if told["ios"] == 0:
                raise WorkloadError(f"Not one read ended in a slice of {seconds:g} s.", "pass more time: seconds=0.5")
            return float(1e9 * told["elapsed_s"] / told["ios"])

        def unwatched() -> float:
            with Workload("io_engines", arguments) as run:
                return ns_per_call(run)

        def watched(program: Program) -> float:
            with Workload("io_engines", arguments) as run, program.watching(run.pid):
                return ns_per_call(run)

        def followed() -> float:
            with RingReader(stations, "events", max_events=MOST_EVENTS):
                return watched(stations)

        def straced() -> float:
            assert strace is not None
            with Workload(Path(strace), options) as run:
                return ns_per_call(run)

        arms = {NOBODY: unwatched, TIMER: lambda: watched(timer), STAGES: followed}
        if strace:
            try:
                with Workload(Path(strace), options):
                    arms[STRACE] = straced
            except LabkitError as error:
                warnings.append(left_out(STRACE, error))
        else:
            warnings.append("strace is not installed: sudo apt-get install strace")
        made = trial.compare(arms, baseline=NOBODY, slices=slices, progress=report)
        facts = provenance(command=["io_engines", *arguments], baseline=NOBODY, warnings=warnings)
    made = made.rename(columns={"value": "ns_per_call"}).assign(call=call, cache=cache, block_bytes=block_bytes)
    return schema.frame(made, **facts)


def bystander(calls: int | None = None, slices: int | None = None, *, progress: Progress | None = None) -> pd.DataFrame:
    """Measure what the timer costs a process that it does not watch, and that makes quite another system call.

    The timer is attached to the tracepoints of one call (pread64), or to the raw tracepoints that all calls pass.

    Parameters
    ----------
    calls : getppid(2) calls of the bystander per slice, 1000 to 10 million; None is 200000 (20000 with LABKIT_QUICK=1).
    slices : per arm, at least 2, interleaved; None is 10 (2 with LABKIT_QUICK=1).
    progress : see `labkit.running.progress`.

    Returns one row per arm and slice: arm, slice, call, ns_per_call.
    """
    calls = check_int("calls", quick(200_000, 20_000) if calls is None else calls, 1000, 10_000_000, "calls")
    slices = trial.check_slices(slices, 10, 2)
    job, arguments = Job(), ["--work", "step", "--calls", str(calls)]
    with (
        exclusive("lesson 06: a bystander", progress) as report,
        Program("syscall_latency", flags=flags(job)) as of_one_call,
        Program("syscall_latency", flags=flags(job, raw=True)) as of_all_calls,
    ):

        def ns_per_call() -> float:
            with Workload("probes", arguments) as run:
                return float(1e9 * run.go()["elapsed_s"] / calls)

        def attached(program: Program) -> float:
            with program.watching(os.getpid()):  # not the bystander
                return ns_per_call()

        arms = {
            NO_TIMER: ns_per_call,
            CALL_HOOKS: lambda: attached(of_one_call),
            RAW_HOOKS: lambda: attached(of_all_calls),
        }
        made = trial.compare(arms, baseline=NO_TIMER, slices=slices, progress=report)
        facts = provenance(command=["probes", *arguments], baseline=NO_TIMER)
    return schema.frame(made.rename(columns={"value": "ns_per_call"}).assign(call="getppid"), **facts)
