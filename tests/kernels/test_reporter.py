# SPDX-License-Identifier: Apache-2.0
"""Two pytests share a list of tests: each test runs once, and what has a result is not run again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kernels.reporter import NO_TIME
from kernels.table import read_report, settled
from tree import ROOT

TESTS = """
import pytest

def test_a(): pass
def test_b(): assert False
def test_c(): pytest.skip("there is no BTF")
def test_d(): pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_letters.py").write_text(TESTS)
    return tmp_path


def run(folder: Path, report: str, *options: str, share: float = 60) -> list[tuple[str, str]]:
    """Return (letter, outcome) of each test that ran."""
    words = [sys.executable, "-m", "pytest", "-p", "kernels.reporter", "-p", "no:cacheprovider", "test_letters.py"]
    words += [f"--report={folder / report}", f"--share={share}", "--claims=claims", *options]
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    subprocess.run(words, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False)
    return [
        (entry["test"][-1], "not run" if entry["reason"] == NO_TIME else entry["outcome"])
        for entry in told(folder, report)
    ]


def told(folder: Path, report: str) -> list[dict[str, Any]]:
    return [entry for entry in read_report(folder / report) if "test" in entry]


def test_the_second_runs_from_the_other_end_what_the_first_has_not_claimed(folder: Path) -> None:
    assert run(folder, "1", "-k", "test_a or test_b") == [("a", "passed"), ("b", "failed")]
    assert run(folder, "2", "--backwards") == [("d", "passed"), ("c", "skipped")]


def test_failed_and_untried_tests_are_run_again_and_no_others(folder: Path) -> None:
    run(folder, "1", "-k", "not test_d")
    assert run(folder, "2", "--done=1", "--claims=again") == [("b", "failed"), ("d", "passed")]


def test_what_had_no_time_is_told_and_not_settled(folder: Path) -> None:
    assert run(folder, "1", share=-1) == [(letter, "not run") for letter in "abcd"]
    assert settled(told(folder, "1"), NO_TIME) == []
