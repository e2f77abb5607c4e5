# SPDX-License-Identifier: Apache-2.0
"""Lesson 02: a duration has two ends; the beginning is kept in a map until the end comes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.errors import check_choices, check_int
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick
from labkit.running.workload import Workload
from labkit.stats import trial

__all__ = ["pairs", "slow_thread"]


def pairs(
    calls: int = 23,
    sleep_us: int = 1000,
    threads: int = 2,
    *,
    keys: Sequence[str] = ("thread", "one slot"),
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Time sleeps by their two ends, with the beginning kept under the thread's number, or all in one slot.

    Parameters
    ----------
    calls : sleeps of each thread, 1 to 10000.
    sleep_us : how long thread 1 sleeps each time, 1 us to 0.1 s; thread 2 sleeps twice that, and so on.
    threads : 1 to 16.
    keys : "thread", "one slot" or both.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per pair that the program made: key, time_ns (of the beginning), tid, asked_ns (what the thread asked for),
    latency_ns, cpu, unpaired (exits without a beginning, of all that this key saw), calls (of all threads with
    this key, by their own count). The last two are the same in each row of a key.
    """
    calls = check_int("calls", calls, 1, 10_000, "calls")
    sleep_us = check_int("sleep_us", sleep_us, 1, 100_000, "microseconds")
    threads = check_int("threads", threads, 1, 16, "threads")
    chosen = check_choices("keys", keys, ("thread", "one slot"))
    expected_s = calls * (sleep_us * threads + 100) * 1e-6
    arguments = ["--work", "sleep", "--calls", str(calls), "--sleep-us", str(sleep_us), "--threads", str(threads)]
    frames, lost = [], 0
    with exclusive("lesson 02: pairs", progress) as report:
        found = trial.once(
            {key: key == "one slot" for key in chosen},
            lambda one_slot, tick: _slept(arguments, one_slot=one_slot, tick=tick, timeout_s=60 + 10 * expected_s),
            progress=report,
            seconds=expected_s,
        )
        for key, (made, told, missed, lost_here) in found.items():
            asked = {worker["tid"]: worker["asked_ns"] for worker in told["workers"]}
            frames.append(made.assign(key=key, asked_ns=made["tid"].map(asked), unpaired=missed, calls=told["calls"]))
            lost += lost_here
        facts = provenance(command=["maps", *arguments], lost_events=lost)
    columns = ["key", "time_ns", "tid", "asked_ns", "latency_ns", "cpu", "unpaired", "calls"]
    return schema.frame(pd.concat(frames, ignore_index=True)[columns], **facts)


def slow_thread(threads: int = 5) -> pd.DataFrame:
    """Let several threads sleep alike, but one of them twice as long; exercise 02-q1 asks which.

    Returns one row per sleep: time_ns, tid, latency_ns, cpu.
    """
    threads = check_int("threads", threads, 2, 16, "threads")
    slow = random.SystemRandom().randint(1, threads)
    arguments = ["--work", "sleep", "--calls", "11", "--sleep-us", "2000", "--threads", str(threads)]
    with exclusive("lesson 02: the slow thread"):
        made, told, _, lost = _slept([*arguments, "--slow-thread", str(slow)], one_slot=False)
        facts = provenance(lost_events=lost)
    truths.expect("02-q1", told["workers"][slow - 1]["tid"])
    return schema.frame(made[["time_ns", "tid", "latency_ns", "cpu"]], **facts)


def _slept(
    arguments: list[str], *, one_slot: bool, tick: Tick | None = None, timeout_s: float = 60
) -> tuple[pd.DataFrame, dict[str, Any], int, int]:
    """Run sleeping threads; return the pairs, the workload's answer, exits without a beginning, losses."""
    with Program("maps_pairs", flags={"ONE_SLOT": int(one_slot)}) as program:
        with RingReader(program, "events", max_events=1_000_000) as ring, Workload("maps", arguments) as run:
            with program.watching(run.pid):
                answer = run.go(tick=tick, timeout_s=timeout_s)
        return ring.frame(), answer, int(program.counters("unpaired")[0]), ring.lost
