# SPDX-License-Identifier: Apache-2.0
"""Lesson 06, as a learner runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner.learner import Followed, follow

pytestmark = pytest.mark.bpf

FACTS = """{
    "timed": int(frame["count"].sum()),
    "sweep": [sweep["count"].tolist(), sweep["ios"].tolist()],
    "heat": [int(heat["count"].sum()), int(heat["ios"].iloc[0])],
    "followed": [len(stages), stages.attrs["ios"]],
    "negative": [closed["negative_before"], closed["negative_after"]],
    "counts": dict(zip(witnesses["witness"], witnesses["count"].tolist())),
    "lost": [each.attrs["lost_events"] for each in (stages, reads, lineup)],
}"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("06-syscall-latency", FACTS, folder)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_each_call_is_timed_once(lesson: Followed) -> None:
    assert lesson.facts["timed"] == 997
    for timed, made in (lesson.facts["sweep"], lesson.facts["heat"]):
        assert timed == made


def test_each_call_lies_between_the_time_stamps_of_its_own_read(lesson: Followed) -> None:
    followed, made = lesson.facts["followed"]
    # next to a busy neighbour the kernel skips a program now and then: each read that is left out is a counted loss
    assert made == 2 * 97 and made - followed <= lesson.facts["lost"][0]
    assert lesson.facts["negative"] == [0, 0]


def test_every_witness_counts_the_same(lesson: Followed) -> None:
    assert len(lesson.facts["counts"]) >= 2
    assert set(lesson.facts["counts"].values()) == {997}


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) >= 3
    assert lesson.solved == sorted(lesson.questions)


def test_the_programs_to_begin_with_are_wrong_as_the_text_says(lesson: Followed) -> None:
    assert "Wrong in the case: short reads" in lesson.starts["06-q5"]
    assert "Wrong in the case: one socket" in lesson.starts["06-q6"]


def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []
