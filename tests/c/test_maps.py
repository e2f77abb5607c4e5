# SPDX-License-Identifier: Apache-2.0
"""The workload of lesson 02 makes the calls it says, from the threads and CPUs it says; strace is the witness."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest


def test_strace_sees_each_threads_calls(build: Callable, strace_counts: Callable) -> None:
    outcome, counts = strace_counts(build("maps"), "--work", "count", "--threads", 3, "--calls", 997)
    assert outcome.result["calls"] == 3 * 997
    assert counts["getppid"] == 3 * 997 + 2  # two more before "go": it looks whether its parent still lives


def test_sizes_go_from_the_smallest_by_steps_and_over_again(build: Callable, tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = ("--work", "sizes", "--smallest", 10, "--largest", 19, "--step", 4, "--calls", 7)
    build("maps").run(*options, under=("strace", "-f", "-e", "trace=pwrite64", "-o", str(log)))
    assert re.findall(r'"\.*, (\d+), 0\) += (\d+)', log.read_text()) == [
        (str(size), str(size)) for size in (10, 14, 18, 10, 14, 18, 10)
    ]


def test_in_turns_no_write_begins_before_the_last_has_ended(build: Callable, tmp_path: Path) -> None:
    log = tmp_path / "log"
    under = ("strace", "-f", "-e", "trace=pwrite64", "-o", str(log))
    build("maps").run("--work", "turns", "--threads", 2, "--calls", 23, under=under)
    numbers = [int(size) for size in re.findall(r'"\.*, (\d+), 0', log.read_text())]
    assert numbers == list(range(1, 47))


def test_no_sleep_is_shorter_than_asked(build: Callable) -> None:
    result = build("maps").run("--work", "sleep", "--threads", 3, "--calls", 7, "--sleep-us", 300).result
    assert [worker["asked_ns"] for worker in result["workers"]] == [300_000, 600_000, 900_000]
    for worker in result["workers"]:
        assert worker["latency_ns"]["count"] == 7
        assert worker["latency_ns"]["min_ns"] >= worker["asked_ns"]


def test_only_the_slow_thread_sleeps_longer(build: Callable) -> None:
    options = ("--work", "sleep", "--threads", 3, "--calls", 1, "--sleep-us", 100, "--slow-thread", 2)
    assert [worker["asked_ns"] for worker in build("maps").run(*options).result["workers"]] == [
        100_000,
        200_000,
        100_000,
    ]


def test_threads_take_the_cpus_in_turn_or_the_first_one(build: Callable) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    apart = build("maps").run("--threads", 3).result["workers"]
    assert [worker["cpu"] for worker in apart] == [cpus[number % len(cpus)] for number in range(3)]
    together = build("maps").run("--threads", 3, "--same-cpu").result["workers"]
    assert {worker["cpu"] for worker in together} == {cpus[0]}
    only = build("maps").run("--threads", 2, under=("taskset", "--cpu-list", str(cpus[-1]))).result["workers"]
    assert {worker["cpu"] for worker in only} == {cpus[-1]}  # the first CPU is not this process's


@pytest.mark.parametrize("work", ["count", "sizes", "sleep", "turns"])
def test_the_sanitised_build_finds_nothing(build: Callable, work: str) -> None:
    options = ("--work", work, "--threads", 2, "--calls", 11, "--sleep-us", 10)
    assert build("maps", san=True).run(*options).result["calls"] == 22


def test_nothing_to_do_is_no_error(build: Callable) -> None:
    assert build("maps").run("--calls", 0).result["calls"] == 0


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        (("--work", "sizes", "--smallest", 9, "--largest", 8), "--smallest"),
        (("--work", "sleep", "--slow-thread", 2), "--slow-thread"),
        (("--threads", 0), "1 to 64"),
        (("--work", "rest"), "count, sizes, sleep, turns"),
    ],
)
def test_bad_options_say_what_is_allowed(build: Callable, options: tuple[object, ...], fix: str) -> None:
    outcome = build("maps").run(*options)
    assert outcome.status == 1
    assert fix in outcome.stderr.splitlines()[1]
