# SPDX-License-Identifier: Apache-2.0
"""`labkit.progress()` tells what is solved, leads on, and never raises."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

import pytest

from labkit.course import LESSONS
from labkit.notebook import overview, solved
from labkit.notebook.exercises import all_questions
from labkit.notebook.question import Question

ASKED = {name: Question(ask="?") for name in ("00-q1", "00-q2", "01-q1", "01-q2")}


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.json"))
    return tmp_path / "progress.json"


def row(shown: overview.Progress, lesson: str) -> str:
    return next(line for line in shown.text.splitlines() if f" {lesson} " in line)


def test_every_exercise_of_the_lab_is_counted() -> None:
    assert overview.progress().total == len(all_questions())


def test_what_is_solved_is_marked_and_counted() -> None:
    solved.remember("00-q2")
    shown = overview.progress(questions=ASKED)
    assert (shown.solved, shown.total) == (1, 4)
    assert "·✓" in row(shown, "00") and "1 of 2" in row(shown, "00")
    assert "··" in row(shown, "01") and "0 of 2" in row(shown, "01")


def test_it_leads_on_from_the_last_lesson_that_was_begun() -> None:
    assert "Go on with 00-q1, in lesson 00" in overview.progress(questions=ASKED).text
    solved.remember("01-q1")
    assert "Go on with 01-q2, in lesson 01" in overview.progress(questions=ASKED).text
    solved.remember("01-q2")
    assert "Go on with 00-q1, in lesson 00" in overview.progress(questions=ASKED).text


def test_at_the_end_it_says_so() -> None:
    for name in ASKED:
        solved.remember(name)
    assert "That is all of them" in overview.progress(questions=ASKED).text


def test_each_lesson_is_a_link_beside_the_notebook() -> None:
    assert '<a href="01-hello.ipynb">01 · ' in overview.progress(questions=ASKED).html


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"solved": 3}', b"\x00\xff"])
def test_a_spoilt_file_is_told_and_replaced_by_a_right_answer(own_progress: Path, content: bytes) -> None:
    own_progress.write_bytes(content)
    assert "counts as empty" in overview.progress(questions=ASKED).text
    solved.remember("00-q1")
    assert list(json.loads(own_progress.read_text())["solved"]) == ["00-q1"]
    assert "counts as empty" not in overview.progress(questions=ASKED).text


@pytest.mark.parametrize("place", ["/proc/nowhere/progress.json", "/dev/null/progress.json", "/sys/progress.json"])
def test_a_place_that_cannot_be_written_is_told(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_PROGRESS", place)
    shown = overview.progress(questions=ASKED)
    assert shown.solved == 0
    assert "cannot be" in shown.text and "LABKIT_PROGRESS" in shown.text


def test_a_folder_in_the_files_place_is_told(own_progress: Path) -> None:
    own_progress.mkdir()
    assert "cannot be kept" in overview.progress(questions=ASKED).text


def test_it_says_what_each_lesson_is_about_and_how_long_it_takes() -> None:
    shown = overview.progress(questions=ASKED).html
    assert all(escape(lesson.learns) in shown and f">{lesson.minutes}<" in shown for lesson in LESSONS)
