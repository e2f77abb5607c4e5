# SPDX-License-Identifier: Apache-2.0
"""Lesson 04: a Python decorator that times a function, next to a pair of uprobes that does the same from outside."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.errors import check_int
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.running.workload import Workload

__all__ = ["decorated", "nap_mystery", "timed"]

DECORATOR, UPROBES = "Python decorator", "uprobe pair"


# show: timed
def timed(function: Callable[[int], int], note: Callable[..., None]) -> Callable[[int], int]:
    """Return `function` with a look at the clock before and after; use it as a decorator."""

    @functools.wraps(function)
    def wrapper(argument: int) -> int:
        began_ns = time.monotonic_ns()  # at the entry
        returned = function(argument)
        note(argument=argument, returned=returned, latency_ns=time.monotonic_ns() - began_ns)  # at the return
        return returned

    return wrapper


# show: end


# show: nap
def nap(microseconds: int) -> int:
    """Sleep, as nap() of c/workloads/probes.c does."""
    time.sleep(microseconds / 1e6)
    return 2 * microseconds


# show: end


def decorated(calls: int = 23, nap_us: int = 1000, *, progress: Progress | None = None) -> pd.DataFrame:
    """Time nap() of Python with a decorator, and nap() of an unprepared C program with two uprobes.

    Parameters
    ----------
    calls : 1 to 10000.
    nap_us : the shortest nap in microseconds, 1 to 100000; then twice that, three times that, and from the start again.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per call: arm ("Python decorator", "uprobe pair"), event_number (from 1), argument (microseconds), returned,
    latency_ns.
    """
    calls = check_int("calls", calls, 1, 10_000, "calls")
    nap_us = check_int("nap_us", nap_us, 1, 100_000, "microseconds")
    rows: list[dict[str, Any]] = []
    with exclusive("lesson 04: the decorator", progress) as report:
        wrapped = timed(nap, lambda **seen: rows.append({"arm": DECORATOR, "event_number": len(rows) + 1, **seen}))
        for number in range(calls):
            report(number / calls / 2, DECORATOR)
            wrapped(nap_us * (1 + number % 3))
        made, command, lost = _naps(calls, nap_us, lambda _: report(0.5, UPROBES))
        facts = provenance(command=command, lost_events=lost)
    made = made.assign(arm=UPROBES, event_number=range(1, len(made) + 1))
    columns = ["arm", "event_number", "argument", "returned", "latency_ns"]
    return schema.frame(pd.concat([pd.DataFrame(rows)[columns], made[columns]], ignore_index=True), **facts)


def nap_mystery() -> pd.DataFrame:
    """Let the C program nap for a hidden time; exercise 04-q2 asks what it passed to nap() at its first call.

    Returns a frame with a row per call: event_number, returned.
    """
    nap_us = random.SystemRandom().randint(101, 997)
    with exclusive("lesson 04: naps"):
        made, _, lost = _naps(3, nap_us, None)
    truths.expect("04-q2", nap_us)
    frame = made.assign(event_number=range(1, len(made) + 1))[["event_number", "returned"]]
    return schema.frame(frame, **provenance(lost_events=lost))


def _naps(calls: int, nap_us: int, tick: Callable[[float], None] | None) -> tuple[pd.DataFrame, list[str], int]:
    arguments = ["--work", "nap", "--calls", str(calls), "--nap-us", str(nap_us)]
    with Program("probes_pair") as program:
        with RingReader(program, "events", max_events=100_000) as ring, Workload("probes", arguments) as run:

            def both_ends() -> None:
                program.attach_uprobe("on_entry", run.command[0], "nap")
                program.attach_uprobe("on_return", run.command[0], "nap", at_return=True)

            with program.watching(run.pid, attach=both_ends):
                run.go(tick=tick, timeout_s=60 + calls * nap_us * 1e-5)
        return ring.frame(), run.command, ring.lost
