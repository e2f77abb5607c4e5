# SPDX-License-Identifier: Apache-2.0
"""A slow place gives a notebook more time; a place that hangs is ended all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labkit.classroom import limits, places
from labkit.classroom.worker import grade_one

SLEEP_S = 2


def test_the_place_is_measured_against_a_quiet_machine() -> None:
    assert 1 <= limits.slowness() <= limits.MOST_SLOWNESS


@pytest.mark.parametrize(
    ("told", "read"), [("7.5", 7.5), ("1e9", limits.MOST_SLOWNESS), ("-3", 1.0), ("", None), ("no number", None)]
)
def test_what_a_place_tells_of_itself_has_bounds(tmp_path: Path, told: str, read: float | None) -> None:
    (tmp_path / "slowness").write_text(told)
    assert limits.read_slowness(tmp_path) == read


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert limits.read_slowness(tmp_path) is None
    limits.write_slowness(tmp_path, 3.2)
    assert limits.read_slowness(tmp_path) == 3.2


@pytest.mark.bpf
@pytest.mark.parametrize(("slow", "ended"), [(1, f"cell 1: it took longer than {SLEEP_S // 2} s"), (60, "")])
def test_a_learners_cells_have_more_time_in_a_slow_place(tmp_path: Path, slow: float, ended: str) -> None:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    notebook = {"cells": [{**cell, "source": f"import time; time.sleep({SLEEP_S})"}]}
    path = tmp_path / "00-start.ipynb"
    path.write_text(json.dumps(notebook))
    assert grade_one(path, tmp_path / "result.json", SLEEP_S // 2, slow)["ended"] == ended


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("sleep 60", "it did not start within 1 s"),
        ("echo 2 >{out}/slowness; sleep 60", "it was ended after 2 s"),
        ("echo 2 >{out}/slowness; sleep 1.3", ""),
        ("exit 0", ""),
        ("echo no disk >&2; exit 3", "it ended with 3: no disk"),
    ],
)
def test_a_place_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    monkeypatch.setattr(places, "_START_S", 1)
    words = ["sh", "-c", script.format(out=tmp_path)]
    assert places._run(words, tmp_path, tmp_path, lambda slow: 0.5 * slow) == said
