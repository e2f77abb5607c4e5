# SPDX-License-Identifier: Apache-2.0
"""Lesson 00, as a learner runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner.learner import Followed, follow

pytestmark = pytest.mark.bpf


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("00-start", "{'reads': len(reads), 'bytes': int(reads['bytes'].sum())}", folder)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_it_sees_each_read_of_the_notebook(lesson: Followed) -> None:
    assert lesson.facts == {"reads": 97, "bytes": 97 * 65536}


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) >= 3
    assert lesson.solved == sorted(lesson.questions)


def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []
