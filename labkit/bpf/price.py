# SPDX-License-Identifier: Apache-2.0
"""What a loaded program costs: its runs and their time, from the kernel's own statistics (BPF_ENABLE_STATS).

The kernel keeps them only while somebody asks: they cost each run of every BPF program two readings of the clock.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

import pandas as pd

from labkit import schema
from labkit.bpf import bcc, proginfo
from labkit.bpf.program import Program

__all__ = ["metered"]

_RUNS = "labkit_runs"  # in c/bpf/labkit.h


@contextlib.contextmanager
def metered(program: Program) -> Iterator[Callable[[], pd.DataFrame]]:
    """Let the kernel count the runs of a program during a block; yield a function that returns what it cost so far.

    The frame has one row per function of the program: function; runs (of any process, since the block began);
    ns_per_run; cpu_percent (the time of all runs, as a share of one CPU); lost_events (of the whole program);
    other_runs and other_cpu_percent: those of processes that the program is not aimed at. The program counts its calls
    of labkit_is_target() for that. Each of their runs counts as much as any, so the share is an upper limit: a
    run that ends at the test is shorter. Both are NaN where the program does not ask, or did not run.

    Raises Missing where the kernel refuses the statistics.
    """
    with proginfo.run_statistics():
        tested = _tested(program)
        began, lost, first = time.monotonic_ns(), program.lost_events, _runs(program)

        def told() -> pd.DataFrame:
            elapsed_ns = max(time.monotonic_ns() - began, 1)
            more_lost = program.lost_events - lost
            rows, share = [], _share_of_others(tested, _tested(program))
            for function, (runs, spent_ns) in _runs(program).items():
                runs_before, ns_before = first.get(function, (0, 0))
                runs, spent_ns = runs - runs_before, spent_ns - ns_before
                each_ns = spent_ns / runs if runs else float("nan")
                cpu_percent = 100 * spent_ns / elapsed_ns
                rows.append((function, runs, each_ns, cpu_percent, more_lost, runs * share, cpu_percent * share))
            names = ("function", "runs", "ns_per_run", "cpu_percent", "lost_events", "other_runs", "other_cpu_percent")
            columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
            return schema.frame(columns, seconds=elapsed_ns / 1e9, cpus=os.cpu_count())

        yield told


def _runs(program: Program) -> dict[str, tuple[int, int]]:
    """Return the runs and their time, in nanoseconds, by function."""
    told = {name: proginfo.query(fd) for name, fd in bcc.loaded_by_name(program.bcc).items()}
    return {name: (int(one.run_cnt), int(one.run_time_ns)) for name, one in told.items()}


def _tested(program: Program) -> tuple[int, int]:
    """Return how often the program found its process not watched, and watched; zeros where it does not ask."""
    if _RUNS not in program.map_names:
        return 0, 0
    others, watched = program.counters(_RUNS)
    return int(others), int(watched)


def _share_of_others(before: tuple[int, int], after: tuple[int, int]) -> float:
    others, watched = after[0] - before[0], after[1] - before[1]
    return others / (others + watched) if others + watched > 0 else float("nan")
