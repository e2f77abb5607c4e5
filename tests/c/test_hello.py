# SPDX-License-Identifier: Apache-2.0
"""The workload of lesson 01 does what it says as often as it says; strace is the witness."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Build = Callable[..., Any]


def test_it_runs_23_programs_unless_told_otherwise(build: Build) -> None:
    result = build("hello").run().result
    assert result["runs"] == 23
    assert len(set(result["child_pids"])) == 23
    assert result["elapsed_s"] > 0


def test_strace_sees_each_run(build: Build, tmp_path: Path) -> None:
    log = tmp_path / "log"
    under = ("strace", "-f", "-e", "trace=execve", "-o", str(log))
    result = build("hello").run("--runs", 7, "--name", "seven", under=under).result
    pids = [int(pid) for pid in re.findall(r'^(\d+)\s+execve\(.*\["seven", "--child"\]', log.read_text(), re.MULTILINE)]
    assert pids == result["child_pids"]


def test_the_sanitised_build_runs_its_children_too(build: Build) -> None:
    assert build("hello", san=True).run("--runs", 2).result["runs"] == 2


def test_strace_sees_each_open(build: Build, tmp_path: Path) -> None:
    suspect, log = tmp_path / "suspect", tmp_path / "log"
    suspect.write_text("here")
    under = ("strace", "-e", "trace=openat", "-o", str(log))
    assert build("hello").run("--open", suspect, "--times", 11, under=under).result["opens"] == 11
    assert log.read_text().count(str(suspect)) == 11


@given(calls=st.integers(1, 3000))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_strace_sees_each_getppid(build: Build, strace_counts: Build, calls: int) -> None:
    outcome, counts = strace_counts(build("hello"), "--getppid", calls)
    assert outcome.result["calls"] == calls
    assert counts["getppid"] == calls + 2  # two more before "go": it looks whether its parent still lives


def test_the_calls_are_not_made_faster_than_asked(build: Build) -> None:
    result = build("hello").run("--getppid", 1000, "--calls-per-s", 10000).result
    assert result["elapsed_s"] >= 0.1


@pytest.mark.parametrize("option", ["--runs", "--times"])
def test_nothing_to_do_is_no_error(build: Build, option: str) -> None:
    options = (option, 0) if option == "--runs" else ("--open", "/etc/passwd", option, 0)
    result = build("hello").run(*options).result
    assert result.get("runs", result.get("opens")) == 0
