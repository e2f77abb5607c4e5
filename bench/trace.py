# SPDX-License-Identifier: Apache-2.0
"""What it costs to be watched: by the lab's timer of system calls, by bpftrace, by a stock BCC tool."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from bench import watchers
from bench.figure import Figure, Step, compare, ratio, rounds
from bench.io import Watch, blocks, run_lab
from labkit.bpf.program import Program
from labkit.lessons._io.job import Job
from labkit.lessons.syscall_latency import io_stages, watching_cost
from labkit.lessons.syscall_latency.timer import flags
from labkit.machine.folders import quick
from labkit.running.progress import Progress
from labkit.stats import trial
from labkit.stats.histogram import from_buckets, quantile

__all__ = ["STEPS"]

NOBODY, LAB = "nobody watches", "lab"
SHORTEST_BYTES = 512  # the shortest read shows best what watching adds


def _ns_per_call(job: Job, file: Path, ios: int, watch: Watch = nullcontext) -> float:
    """Return how long a call takes in the median, as the program measures it around the call."""
    told = run_lab(job, file, ios=ios, watch=watch)
    # one pause of the machine is not what watching costs: a mean would have it, a median has not
    return float(quantile(from_buckets(told["latency_ns"]["buckets"]), 0.5))


def _ns_timed(job: Job, file: Path, ios: int, timer: Program) -> float:
    """Return the same while the lab's timer watches."""
    timer.clear()
    took_ns = _ns_per_call(job, file, ios, timer.watching)
    counted = int(timer.histogram("latency").sum())
    assert counted == ios, f"{counted} of {ios} calls were timed"
    return took_ns


def _slowdown(cache: str, ios: int, slices: int) -> Step:
    name, job = f"trace.slowdown.{cache}", Job(cache=cache)

    def measure(progress: Progress) -> list[Figure]:
        with blocks() as file, Program("syscall_latency", flags=flags(job)) as timer:
            arms = {
                LAB: lambda: _ns_timed(job, file, ios, timer),
                NOBODY: lambda: _ns_per_call(job, file, ios),
            }
            return [compare(name, arms, arm=LAB, baseline=NOBODY, slices=quick(slices, 2), progress=progress)]

    return Step((name,), measure, 18)


def _cost_vs(name: str, peer: str, watcher: Callable[[int, str], AbstractContextManager[None]], ios: int) -> Step:
    job = Job(cache="warm", block_bytes=SHORTEST_BYTES)
    (call,) = job.calls

    def measure(progress: Progress) -> list[Figure]:
        with blocks() as file, Program("syscall_latency", flags=flags(job)) as timer:
            arms = {
                NOBODY: lambda: {"value": _ns_per_call(job, file, ios)},
                LAB: lambda: {"value": _ns_timed(job, file, ios, timer)},
                peer: lambda: {"value": _ns_per_call(job, file, ios, lambda pid: watcher(pid, call))},
            }
            frame = rounds(f"bench: {name}", arms, baseline=NOBODY, slices=quick(10, 2), progress=progress)
        told = trial.added_ratio(frame, LAB, peer, NOBODY)
        added = trial.differences(frame).set_index("arm")["difference"]
        facts = {"added_ns": {arm: round(float(added[arm]), 1) for arm in added.index}}
        noise = trial.ratios(frame).attrs["warnings"]
        return [Figure(name, told["ratio"], told["low"], told["high"], int(told["slices"]), noise, frame, facts)]

    return Step((name,), measure, 24, (peer,))


def _bystander(progress: Progress) -> list[Figure]:
    """What a call of a process that is not watched takes with the timer attached and without."""
    frame = watching_cost.bystander(slices=quick(20, 2), progress=progress)
    arms = {watching_cost.CALL_HOOKS: "trace.bystander", watching_cost.RAW_HOOKS: "trace.bystander.raw"}
    return [ratio(name, frame, "ns_per_call", arm) for arm, name in arms.items()]


def _closure(progress: Progress) -> list[Figure]:
    """Does the program agree that a read took as long as its traced stages, and the way in and out?

    The way in and out of the kernel is measured on another read, from the page cache. So the sum can be too small, if
    a stage is missing, and too large, if time is counted twice or belongs to another read.
    """
    slices, values = quick(8, 2), []
    for number in range(slices):
        progress(number / slices, f"slice {number + 1} of {slices}")
        cached = io_stages.stages(SHORTEST_BYTES, ios=quick(997, 97), cache="warm")
        around_ns = float((cached["before_ns"] + cached["after_ns"]).median())
        direct = io_stages.stages(4096, ios=quick(997, 97))
        values.append(float(((direct["latency_ns"] + around_ns) / direct["program_ns"]).median()))
    return [Figure("trace.closure", *trial.median_interval(values), slices)]


STEPS = (
    _slowdown("direct", ios=1000, slices=20),
    _slowdown("warm", ios=50_000, slices=20),
    _cost_vs("trace.cost_vs_bpftrace", watchers.BPFTRACE, watchers.bpftrace, 100_000),
    _cost_vs("trace.cost_vs_bcc_stock", watchers.TRACE, watchers.stock_tool, 100_000),
    Step(("trace.bystander", "trace.bystander.raw"), _bystander, 15),
    Step(("trace.closure",), _closure, 14),
)
