# SPDX-License-Identifier: Apache-2.0
"""Lesson 02: several CPUs count the same thing; what each way of counting loses, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf import maps
from labkit.bpf.program import Program
from labkit.errors import LabkitError, VerifierError, check_bool, check_choices, check_int, check_seed
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick
from labkit.running.workload import Workload
from labkit.stats import trial

__all__ = ["WAYS", "forgotten_test", "measure", "per_cpu"]

NOBODY = "no program"
# the numbers of c/bpf/maps.c
WAYS = {"array": 1, "atomic array": 2, "per-CPU array": 3, "hash with increment()": 4}


def measure(
    calls: int | None = None,
    threads: int = 2,
    ways: Sequence[str] = tuple(WAYS),
    *,
    same_cpu: bool = False,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let threads on different CPUs make system calls, count them in several ways, and see what each way misses.

    Parameters
    ----------
    calls : of each thread, 1 to 10 million; None is 100003 (20011 with LABKIT_QUICK=1).
    threads : 1 to 64, on as many CPUs as this process may use.
    ways : names of `WAYS`.
    same_cpu : put all threads on one CPU instead.
    slices : slices of each way, 2 to 100; None is 6 (2 with LABKIT_QUICK=1).
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per slice: arm (the way, or "no program"), slice, threads, calls (of all threads, as the workload counted
    them), count (what the map says), lost_updates, ns_per_call (of one thread's calls). The arm "no program" counts
    nothing; it runs twice, which shows the noise.
    """
    calls = check_int("calls", quick(100_003, 20_011) if calls is None else calls, 1, 10_000_000, "calls")
    threads = check_int("threads", threads, 1, 64, "threads")
    slices = trial.check_slices(slices, 6, 2)
    chosen = check_choices("ways", ways, WAYS)
    arguments = ["--work", "count", "--threads", str(threads), "--calls", str(calls)]
    arguments += ["--same-cpu"] if check_bool("same_cpu", same_cpu) else []
    seed = check_seed(seed)
    with exclusive("lesson 02: lost updates", progress) as report:

        def one(arm: str, tick: Tick) -> dict[str, Any]:
            return _slice(arm, WAYS.get(arm.removesuffix(trial.AGAIN)), arguments, calls, tick)

        made = trial.interleaved(
            [NOBODY, *chosen, NOBODY + trial.AGAIN], one, slices=slices, seed=seed, progress=report
        )
        frame = made.frame()
        alone = frame["cpus"].max() < 2 and threads > 1 and not same_cpu
        warnings = ["one CPU only: nothing runs at the same time"] if alone else []
        facts = provenance(command=["maps", *arguments], baseline=NOBODY, seed=made.seed, warnings=warnings)
    frame.insert(2, "threads", threads)
    return schema.frame(frame.drop(columns="cpus"), **facts)


def per_cpu(calls: int = 10_007, threads: int = 2) -> pd.DataFrame:
    """Count in a per-CPU array and return its slots: cpu, count, calls (of all threads, by their own count).

    Threads run on CPUs of their own.
    """
    calls = check_int("calls", calls, 1, 10_000_000, "calls")
    threads = check_int("threads", threads, 1, 64, "threads")
    arguments = ["--work", "count", "--threads", str(threads), "--calls", str(calls)]
    with exclusive("lesson 02: a slot for each CPU"), Program("maps", flags={"WAY": WAYS["per-CPU array"]}) as program:
        with Workload("maps", arguments) as run, program.watching(run.pid):
            answer = run.go()
        slots = maps.read_array(program.map_fd("own"))[0]
        facts = provenance(command=run.command)
    return schema.frame({"cpu": range(len(slots)), "count": slots, "calls": answer["calls"]}, **facts)


def forgotten_test() -> str:
    """Give the kernel a program that uses a lookup's answer without a test; return why it was refused."""
    try:
        with exclusive("lesson 02: a forgotten test"), Program("maps_no_test"):
            pass
    except VerifierError as refusal:
        return str(refusal)
    raise LabkitError(
        "The kernel accepted a program that uses the result of a lookup without a test.", "report this, with `uname -r`"
    )


def _slice(arm: str, way: int | None, arguments: list[str], calls: int, tick: Tick) -> dict[str, Any]:
    """Run the workload once, counted in one way or not at all, and return its row."""
    counted = 0
    with Workload("maps", arguments) as run:
        if way is None:
            answer = run.go(tick=tick)
        else:
            with Program("maps", flags={"WAY": way}) as program:
                with program.watching(run.pid):
                    answer = run.go(tick=tick)
                counted = _count(program, way)
    return {
        "calls": answer["calls"],
        "count": counted,
        "lost_updates": answer["calls"] - counted if arm in WAYS else 0,
        "ns_per_call": max(worker["elapsed_s"] for worker in answer["workers"]) * 1e9 / calls,
        "cpus": len({worker["cpu"] for worker in answer["workers"]}),
    }


def _count(program: Program, way: int) -> int:
    """Return what one way of counting has counted."""
    if way == WAYS["hash with increment()"]:
        return int(sum(program.hash("named").values()))
    return int(program.counters("own" if way == WAYS["per-CPU array"] else "shared")[0])
