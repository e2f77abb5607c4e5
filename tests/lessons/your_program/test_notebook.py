# SPDX-License-Identifier: Apache-2.0
"""Lesson 12, as a learner runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner.learner import Followed, follow

pytestmark = pytest.mark.bpf
anywhere = pytest.mark.anywhere

FACTS = """{
    "recorded": [bool(frame.attrs.get("recorded")) for frame in (git, sql, web, faults, busy, waiting, memory)],
    "git": [int(first), int(second)],
    "scans": times,
    "web": web[(web["phase"] == "slow") & (web["wait"] == "in recvfrom()")]["count"].tolist(),
    "python": float(busy[inside]["count"].sum() / busy["count"].sum()),
    "faults": int(memory["count"].sum()),
    "tools": [type(failing).__name__, type(written).__name__],
}"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("12-your-program", FACTS, folder)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_nothing_of_it_is_a_recording(lesson: Followed) -> None:
    assert lesson.facts["recorded"] == [False] * 7


def test_each_cause_is_proved_by_its_number(lesson: Followed) -> None:
    first, second = lesson.facts["git"]
    assert first - second == 499 * 1000
    assert lesson.facts["scans"][0] == pytest.approx(11, abs=0.5) and lesson.facts["scans"][1] < 0.5
    (waits,) = lesson.facts["web"]
    assert 6 <= waits <= 11  # of 11 requests: on a busy machine a thread may start after its request has come
    assert lesson.facts["python"] > 0.5


@anywhere
def test_the_learners_tools_are_loaded(lesson: Followed) -> None:
    assert lesson.facts["tools"] == ["NotebookCell"] * 2


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) == 4
    assert lesson.solved == sorted(lesson.questions)


def test_the_programs_to_begin_with_are_wrong_as_the_text_says(lesson: Followed) -> None:
    assert "Wrong in the case: files that exist" in lesson.starts["12-q2"]
    assert "Wrong in the case: short writes" in lesson.starts["12-q3"]


@anywhere
def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []
