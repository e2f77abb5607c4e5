# SPDX-License-Identifier: Apache-2.0
"""Lesson 03, as a learner runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner.learner import Followed, follow

pytestmark = pytest.mark.bpf

FACTS = """{
    "as_written": gallery[gallery["version"] == "as written"]["verdict"].unique().tolist(),
    "fixed": gallery[gallery["version"] == "fixed"]["verdict"].unique().tolist(),
    "programs": int(gallery["program"].nunique()),
    "longest_loop": loops["verdict"].iloc[-1],
    "playground": type(sizes).__name__,
    "fixed_by_hand": type(watch).__name__,
}"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("03-verifier", FACTS, folder)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_each_program_is_refused_and_its_fix_accepted(lesson: Followed) -> None:
    assert lesson.facts["as_written"] == ["rejected"]
    assert lesson.facts["fixed"] == ["accepted"]
    assert lesson.facts["programs"] >= 12


def test_the_longest_loop_is_refused(lesson: Followed) -> None:
    assert lesson.facts["longest_loop"] == "rejected"


def test_a_refused_cell_leaves_a_note_and_a_fixed_one_a_program(lesson: Followed) -> None:
    assert (lesson.facts["playground"], lesson.facts["fixed_by_hand"]) == ("Refused", "NotebookCell")


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) >= 3
    assert lesson.solved == sorted(lesson.questions)


def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []
