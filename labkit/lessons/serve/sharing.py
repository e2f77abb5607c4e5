# SPDX-License-Identifier: Apache-2.0
"""Lesson 11: threads that wait for the connections of one port, and who wakes them.

Rests on c/workloads/serve_herd.c and c/bpf/serve_herd.c (the tracepoint sched:sched_waking), and on epoll_ctl(2) and
socket(7) for EPOLLEXCLUSIVE and SO_REUSEPORT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import check_choices, check_int, check_ints
from labkit.lessons._io.watch import watching
from labkit.lessons.serve.runs import call_flags
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick
from labkit.running.workload import Workload
from labkit.stats import trial

__all__ = ["SHARES", "herd", "wakers"]

SHARES = ("plain", "exclusive", "reuseport")
ENDER = "main"  # the name of the thread that ends the others
THREADS = (1, 4, 16)
_UNWATCHED = 3  # runs, for the CPU time


def herd(
    share: str | Sequence[str] = SHARES,
    threads: int | Sequence[int] = THREADS,
    connections: int | None = None,
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let connections come, one at a time, to threads that all wait for them, and count whom the kernel wakes.

    Parameters
    ----------
    share : how the threads share the port. "plain": each has an epoll set, with the one listening socket in each;
        "exclusive": the same with EPOLLEXCLUSIVE; "reuseport": each has a listening socket of its own.
    threads : one number or several, 1 to 64.
    connections : 1 to 100,000; None is 499 (97 with LABKIT_QUICK=1). Each comes when all threads sleep again.

    Returns
    -------
    One row per way to share and number of threads: arm, threads, connections, wakeups (of the threads, by a new
    connection, counted in the kernel), wakeups_per_connection, voluntary_switches (the sleeps of the threads, as
    getrusage(2) counts them), empty_accepts (accept4() found no connection any more), cpu_ns_per_connection (of the
    threads; the median of three runs that nobody watches).

    Raises
    ------
    Missing : BPF cannot be loaded here.
    """
    arms, counts, wanted = _checked(share, threads, connections)
    jobs = {f"{arm}, {count} threads": (arm, count) for count in counts for arm in arms}
    rows: list[dict[str, Any]] = []
    with exclusive("lesson 11: wake-ups", progress) as report, watching("serve_herd", call_flags, None) as program:
        assert program is not None
        runs = trial.once(jobs, lambda job, tick: _run(*job, wanted, program, tick), progress=report)
        program.detach()
        for name, (told, seen, _) in runs.items():
            woken = sum(times for waker, times in seen.items() if waker != ENDER)
            costs = [_run(*jobs[name], wanted)[0]["server"]["cpu_ns"] / wanted for _ in range(_UNWATCHED)]
            rows.append(
                {
                    "arm": jobs[name][0],
                    "threads": jobs[name][1],
                    "connections": told["connections"],
                    "wakeups": woken,
                    "wakeups_per_connection": woken / told["connections"],
                    "voluntary_switches": told["server"]["voluntary_switches"],
                    "empty_accepts": told["empty_accepts"],
                    "cpu_ns_per_connection": float(np.median(costs)),
                }
            )
        lost = sum(lost for _, _, lost in runs.values())
        facts = provenance(command=["serve_herd", "--share", *arms], lost_events=lost)
    return schema.frame(rows, **facts)


def wakers(
    share: str | Sequence[str] = SHARES,
    threads: int = 16,
    connections: int | None = None,
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return who wakes the threads: one row per way to share and waker, with arm, threads, waker, wakeups.

    Parameters
    ----------
    share, threads, connections : as of `herd`; one number of threads.

    A waker is a thread of the program: "client" connects, "main" ends the threads after the last connection. Or it is
    "elsewhere": the kernel handled the connection in an interrupt that came while another process ran.
    """
    arms, (count,), wanted = _checked(share, check_int("threads", threads, 1, 64, "threads"), connections)
    with exclusive("lesson 11: wake-ups", progress) as report, watching("serve_herd", call_flags, None) as program:
        each = {arm: arm for arm in arms}
        runs = trial.once(each, lambda arm, tick: _run(arm, count, wanted, program, tick), progress=report)
        lost = sum(lost for _, _, lost in runs.values())
        facts = provenance(command=["serve_herd", "--share", *arms], lost_events=lost)
    rows = [
        {"arm": arm, "threads": count, "waker": waker, "wakeups": times}
        for arm, (_, seen, _) in runs.items()
        for waker, times in sorted(seen.items(), key=lambda each: -each[1])
    ]
    return schema.frame(rows, **facts)


def _checked(share: object, threads: object, connections: object) -> tuple[list[str], list[int], int]:
    arms = check_choices("share", share, SHARES)
    counts = check_ints("threads", threads, 1, 64, "threads")
    wanted = quick(499, 97) if connections is None else connections
    return arms, counts, check_int("connections", wanted, 1, 100_000, "connections")


def _run(
    arm: str, threads: int, connections: int, program: Program | None = None, tick: Tick | None = None
) -> tuple[dict[str, Any], dict[str, int], int]:
    """Return what the program reports, and where somebody watches waker -> wake-ups, and how many were not counted."""
    options = ["--share", arm, "--threads", str(threads), "--connections", str(connections)]
    with Workload("serve_herd", options) as workload:
        if program is not None:
            program.clear("servers", "wakeups", "labkit_lost")
            program.aim(pid=workload.pid)
        told = workload.go(tick=tick)
    if program is None:
        return told, {}, 0
    seen = {_name(key): int(times) for key, times in program.hash("wakeups").items()}
    return told, seen, _lost(program, told, seen)


def _lost(program: Program, told: dict[str, Any], seen: dict[str, int]) -> int:
    """Return how many wake-ups of the servers were not counted.

    sched_waking comes for every process. The kernel skips a BPF program while another one runs on the CPU, so most runs
    that were skipped are those of others. What the servers themselves count is the bound: each sleep ends with one.
    """
    return min(program.lost_events, max(0, int(told["server"]["voluntary_switches"]) - sum(seen.values())))


def _name(key: Any) -> str:
    (name,) = key if isinstance(key, tuple) else (key,)
    return name.decode() if isinstance(name, bytes) else str(name)
