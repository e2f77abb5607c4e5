# SPDX-License-Identifier: Apache-2.0
"""The workload of lesson 04 calls what it says as often as it says; strace and nm are the witnesses."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


def test_strace_sees_one_system_call_for_each_step(build: Callable, strace_counts: Callable) -> None:
    outcome, counts = strace_counts(build("probes"), "--work", "step", "--calls", 997)
    assert outcome.result["calls"] == 997
    assert counts["getppid"] == 997 + 2  # two more before "go": it looks whether its parent still lives


def test_naps_are_once_twice_and_three_times_as_long(build: Callable, tmp_path: Path) -> None:
    log = tmp_path / "log"
    under = ("strace", "-e", "trace=clock_nanosleep", "-o", str(log))
    assert build("probes").run("--work", "nap", "--calls", 5, "--nap-us", 11, under=under).result["calls"] == 5
    assert re.findall(r"tv_nsec=(\d+)", log.read_text()) == ["11000", "22000", "33000", "11000", "22000"]


def test_only_the_hidden_function_is_not_in_the_symbol_table(build: Callable) -> None:
    told = subprocess.run(["nm", build("probes").path], capture_output=True, text=True, check=True)
    names = set(re.findall(r" [tT] (\w+)$", told.stdout, re.MULTILINE))
    assert {"step", "nap", "visible", "half_hidden", "apple", "pear", "plum", "read_zeros"} <= names
    assert "hidden" not in names


def test_burnt_time_is_in_the_shares_asked_for(build: Callable) -> None:
    result = build("probes").run("--work", "burn", "--seconds", 0.3, "--apple", 50, "--pear", 20, "--plum", 10).result
    parts = {name: result[f"{name}_ns"] for name in ("apple", "pear", "plum", "kernel")}
    # the one furthest behind goes next, so it is at most one turn of the others behind
    for name, percent in {"apple": 50, "pear": 20, "plum": 10, "kernel": 20}.items():
        assert abs(parts[name] / sum(parts.values()) - percent / 100) < 0.1


def test_a_share_of_nothing_gets_no_time(build: Callable) -> None:
    result = build("probes").run("--work", "burn", "--seconds", 0.02, "--apple", 100, "--pear", 0, "--plum", 0).result
    assert [result[f"{name}_ns"] for name in ("pear", "plum", "kernel")] == [0, 0, 0]


@pytest.mark.parametrize("work", ["step", "nap", "hide", "burn"])
def test_the_sanitised_build_finds_nothing(build: Callable, work: str) -> None:
    options = ("--work", work, "--calls", 11, "--nap-us", 10, "--seconds", 0.02)
    assert build("probes", san=True).run(*options).status == 0


def test_shares_of_more_than_the_whole_are_refused(build: Callable) -> None:
    outcome = build("probes").run("--work", "burn", "--apple", 60, "--pear", 60)
    assert outcome.status == 1
    assert "add up to 100" in outcome.stderr.splitlines()[1]
