# SPDX-License-Identifier: Apache-2.0
"""Lesson 01, as a learner runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner.learner import Followed, follow

pytestmark = pytest.mark.bpf

FACTS = """{
    "lines": len(lines),
    "events": len(frame),
    "phases": phases["count"].tolist(),
    "kernel_ran_it": life.run_count >= 23,
}"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("01-hello", FACTS, folder)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_each_run_is_counted_once_and_only_while_attached(lesson: Followed) -> None:
    assert lesson.facts == {"lines": 3, "events": 23, "phases": [0, 23, 0], "kernel_ran_it": True}


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) >= 3
    assert lesson.solved == sorted(lesson.questions)


def test_the_programs_to_begin_with_are_wrong_as_the_text_says(lesson: Followed) -> None:
    assert "ends was refused" in lesson.starts["01-q5"]
    assert "Wrong in the case: other codes" in lesson.starts["01-q6"]


def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []
