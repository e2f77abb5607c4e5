# SPDX-License-Identifier: Apache-2.0
"""Lesson 10's application on SQLite, run by hand and as a workload. Witness: the sqlite3 module."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import pytest

from labkit.errors import WorkloadError, WorkloadUnable
from labkit.lessons import capstone
from labkit.lessons.capstone import sqlite
from labkit.lessons.capstone.sqlite import DATABASE, SqliteSettings
from labkit.running.workload import Workload


@pytest.mark.parametrize("journal", capstone.JOURNALS)
def test_the_application_stores_what_it_says(tmp_path: Path, journal: str) -> None:
    python, *options = sqlite.application()
    with Workload(Path(python), [*options, *SqliteSettings(journal, "full", 23, 3, 1000).arguments(tmp_path)]) as run:
        told = run.go()
    assert (told["transactions"], told["rows"], told["elapsed_s"] > 0) == (23, 69, True)
    stored = sqlite3.connect(tmp_path / DATABASE)
    assert stored.execute("SELECT count(*), sum(length(content)) FROM orders").fetchone() == (69, 69_000)
    assert stored.execute("PRAGMA journal_mode").fetchone() == ("wal" if journal == "wal" else "delete",)
    stored.close()


def test_the_application_leaves_quietly_when_nobody_says_go(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*sqlite.application(), "--folder", str(tmp_path)], input="", capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ready\n", "")


def test_a_folder_that_is_not_there_is_told_in_two_lines(tmp_path: Path) -> None:
    python, *options = sqlite.application()
    with (
        pytest.raises(WorkloadError, match=r"SQLite says: unable to open database file\nFix: "),
        Workload(Path(python), [*options, *SqliteSettings().arguments(tmp_path / "nowhere")]),
    ):
        pass


def test_a_python_without_sqlite_says_that_it_cannot_run(tmp_path: Path) -> None:
    python, _, child = sqlite.application()
    (tmp_path / "sqlite3.py").write_text("raise ImportError('No module named _sqlite3')\n")
    command = [
        "-c",
        f"import sys, runpy; sys.path.insert(0, {str(tmp_path)!r}); runpy.run_path({child!r}, run_name='__main__')",
    ]
    with (
        pytest.raises(WorkloadUnable, match="this Python has no SQLite: No module named _sqlite3"),
        Workload(Path(python), [*command, *SqliteSettings().arguments(tmp_path)]),
    ):
        pass
