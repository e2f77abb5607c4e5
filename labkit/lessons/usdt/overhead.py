# SPDX-License-Identifier: Apache-2.0
"""Lesson 05: what a USDT probe costs its program, with nobody listening and with a tracer.

The same loop runs with no probe in it, with a plain one, with one behind a semaphore, and, on x86-64, with one on a nop
of five bytes; each untraced and traced by a program that counts. Slices are interleaved (`labkit.stats.trial`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from labkit.bpf.program import Program
from labkit.bpf.usdt.tracer import Usdt, probes_of
from labkit.errors import LabkitError, check_int
from labkit.lessons.usdt.live import server
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.running.workload import Workload, check_cpu
from labkit.stats import trial

__all__ = ["ARMS", "BASELINE", "cost"]

BASELINE = "no probe"
# arm -> (the loop of usdt_app, is it traced)
ARMS = {
    BASELINE: ("none", False),
    "idle": ("plain", False),
    "idle with semaphore": ("guarded", False),
    "traced": ("plain", True),
    "traced with semaphore": ("guarded", True),
    "traced on a long nop": ("long", True),
}
_TRACED_SHARE = 50  # a traced pass takes some hundred times as long, so fewer of them make a slice


def cost(
    iterations: int | None = None,
    slices: int | None = None,
    *,
    cpu: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure the time of one turn of the loop in each arm.

    Parameters
    ----------
    iterations : turns in a slice of an untraced arm, 1000 to 10^9; a traced one has a fiftieth. None: two million.
    slices : slices per arm, at least 2. None: 10, or 3 with LABKIT_QUICK=1.
    cpu : the CPU that all run on; None takes the last one that this process may use.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per slice: arm, slice, value (nanoseconds per turn). `labkit.stats.trial.differences` says what each arm
    adds to the baseline "no probe".

    Raises
    ------
    LabkitError : eBPF counted another number than the loop made.
    """
    iterations = check_int("iterations", 2_000_000 if iterations is None else iterations, 1000, 10**9, "turns")
    slices = trial.check_slices(slices, 10, 3)
    chosen = max(os.sched_getaffinity(0)) if cpu is None else check_cpu(cpu)
    binary = server()
    has_probe = {probe.name for probe in probes_of(binary)}
    with exclusive("lesson 05: what probes cost", progress), Program("usdt_count") as program, Usdt(program) as tracer:
        arms = {
            arm: _slice(
                program, tracer, binary, loop, iterations // _TRACED_SHARE if traced else iterations, traced, chosen
            )
            for arm, (loop, traced) in ARMS.items()
            if loop == "none" or f"labkit:loop_{loop}" in has_probe
        }
        made = trial.compare(arms, baseline=BASELINE, slices=slices, progress=progress)
    made.attrs |= provenance(command=f"usdt_app --loop … --iterations {iterations}", pinned_cpu=chosen)
    return made


def _slice(
    program: Program, tracer: Usdt, binary: Path, loop: str, iterations: int, traced: bool, cpu: int
) -> Callable[[], float]:
    """Return a function that runs one slice and returns its nanoseconds per turn."""

    def run_slice() -> float:
        program.clear("fired")
        with Workload(binary, ["--loop", loop, "--iterations", str(iterations)], cpu=cpu) as run:
            program.aim(pid=run.pid)
            if traced:
                tracer.attach("on_probe", binary, f"labkit:loop_{loop}", pid=run.pid)
            told = run.go()
            tracer.detach()
        counted = int(program.counters("fired")[0])
        if counted != (told["iterations"] if traced else 0):
            raise LabkitError(
                f"The probe fired {told['iterations']} times, and eBPF counted {counted}.", "run the cell again"
            )
        return float(1e9 * told["elapsed_s"] / told["iterations"])

    return run_slice
