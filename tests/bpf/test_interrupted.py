# SPDX-License-Identifier: Apache-2.0
"""An interrupt at any line that takes or gives back a program or a reader: the next count is right, nothing is left."""

from __future__ import annotations

import os
import subprocess
import threading

import pytest
from running.interrupting import every_interrupt, interrupted_at, lines_run

from labkit.bpf import bcc, program, ring, shelf
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.running import owner
from labkit.running.lock import exclusive
from labkit.running.workload import Workload

pytestmark = pytest.mark.bpf
TAKES_AND_GIVES = (
    "__enter__",
    "__exit__",
    "_take",
    "_give_back",
    "_open",
    "_close",
    "stop",
    "take",
    "put",
    "detach",
    "detach_all",
)


def events() -> tuple[int, int]:
    """Return how many runs of a program a ring delivered, and how many the program itself says."""
    with exclusive("a test"), Program("hello") as watch, RingReader(watch, "events", max_events=1000) as reader:
        with Workload("hello", ["--runs", "23"]) as run, watch.watching(run.pid):
            told = run.go()
        reader.stop()
        return reader.count, int(told["runs"])


def a_bare_program() -> None:
    """Watch as a learner may write it: outside of any measurement."""
    with Program("hello") as watch, Workload("hello", ["--runs", "1"]) as run, watch.watching(run.pid):
        run.go()


def attached() -> list[str]:
    """Return what this process has attached, as bpftool sees it."""
    listed = subprocess.run(["bpftool", "perf", "list"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.startswith(f"pid {os.getpid()} ")]


def reader_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ring")]


def test_no_interrupt_makes_a_later_count_wrong() -> None:
    assert events() == (23, 23)
    for number in every_interrupt(events, (program, ring, shelf, bcc), TAKES_AND_GIVES):
        assert events() == (23, 23), number
        assert owner.held_now() == [], number
        assert reader_threads() == [], number


def test_after_an_interrupt_of_a_bare_program_nothing_stays_attached() -> None:
    a_bare_program()
    interrupts = 0
    for number in range(lines_run(a_bare_program, (program, owner, shelf), TAKES_AND_GIVES)):
        interrupts += interrupted_at(number, a_bare_program, (program, owner, shelf), TAKES_AND_GIVES)
        assert owner.held_now() == [], number
        assert attached() == [], number
    assert interrupts > 20


def test_what_an_earlier_program_left_in_a_ring_is_not_counted() -> None:
    with Program("hello") as watch:
        with Workload("hello", ["--runs", "7"]) as run, watch.watching(run.pid):
            run.go()
        with RingReader(watch, "events", max_events=1000) as reader:
            with Workload("hello", ["--runs", "23"]) as run, watch.watching(run.pid):
                run.go()
            reader.stop()
            assert reader.count == 23
