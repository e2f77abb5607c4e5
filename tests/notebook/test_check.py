# SPDX-License-Identifier: Apache-2.0
"""`check` tells right from wrong, hints, and never raises."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.machine.folders import repo_folder
from labkit.notebook import solved
from labkit.notebook.check import CheckedAnswer, check
from labkit.notebook.exercises import all_questions
from labkit.notebook.question import Hint, Question, names, number, text, whole
from labkit.running import truths


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.json"))
    return tmp_path / "progress.json"


def ask(answer: object, truth: object = 23, **fields: Any) -> CheckedAnswer:
    truths.expect("99-q1", truth)
    return check("99-q1", answer, questions={"99-q1": Question(ask="How many?", **fields)})


@pytest.mark.parametrize("answer", [23, 23.0, "23", " 23 ", np.int64(23), np.float64(23), pd.Series([23]), [23]])
def test_the_same_number_is_right_in_every_form(answer: object) -> None:
    assert ask(answer).ok


@pytest.mark.parametrize("answer", [22, 0, -23, 23.5, "many", True, pd.Series([23, 23]), {}, object(), float("nan")])
def test_anything_else_is_wrong_and_gets_a_hint(answer: object) -> None:
    verdict = ask(answer)
    assert not verdict.ok
    assert "Hint" in verdict.text


def test_a_number_within_tolerance_is_right() -> None:
    assert ask(95, 100.0, read=number, tolerance=0.1).ok
    assert not ask(85, 100.0, read=number, tolerance=0.1).ok


def test_capitals_and_spaces_do_not_count_in_a_text() -> None:
    assert ask(" OpenAt ", "openat", read=text).ok


def test_names_may_come_in_any_order() -> None:
    assert ask(["b", "A"], ["a", "b"], read=names).ok
    assert ask("b, a", ["a", "b"], read=names).ok
    assert not ask(["a"], ["a", "b"], read=names).ok


def test_a_typical_mistake_gets_its_own_hint() -> None:
    hints = (Hint(lambda answer, truth: answer == 2 * truth, "You counted entry and exit."),)
    assert "entry and exit" in ask(46, hints=hints).text
    assert "entry and exit" not in ask(45, hints=hints).text


@pytest.mark.parametrize("answer", [..., None, "", "  "])
def test_an_empty_answer_shows_the_question_again(answer: object) -> None:
    assert "How many?" in ask(answer).text


def test_a_method_without_its_brackets_gets_that_hint() -> None:
    verdict = ask([23].count)
    assert not verdict.ok and "you forgot the ()" in verdict.text and "bound method" not in verdict.text


def test_the_names_of_the_exercises_are_in_order() -> None:
    known = {name: Question(ask="?") for name in ("02-q1", "01-q2", "01-q1")}
    assert "01-q1, 01-q2, 02-q1" in check("nothing like it", 1, questions=known).text


def test_before_its_experiment_ran_it_says_what_to_run() -> None:
    verdict = check("99-q7", 1, questions={"99-q7": Question(ask="?", first="run the decoys")})
    assert not verdict.ok
    assert "First run the decoys" in verdict.text


def test_a_misspelt_name_gets_the_nearest() -> None:
    assert "'01-q1'" in check("01-q11", 1, questions={"01-q1": Question(ask="?")}).text


@given(st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.lists(st.integers()), st.binary()))
def test_no_name_and_no_answer_raises(anything: Any) -> None:
    for read in (whole, number, text, names):
        assert isinstance(check(anything, anything, questions={"99-q1": Question(ask="?", read=read)}), CheckedAnswer)
        assert isinstance(check("99-q1", anything, questions={"99-q1": Question(ask="?", read=read)}), CheckedAnswer)


def test_a_rule_that_fails_is_told_without_a_stack_trace() -> None:
    assert "cannot be compared" in ask(23, right=lambda answer, truth: 1 // 0 == 0).text


def test_the_verdict_on_a_wrong_answer_hides_the_truth() -> None:
    verdict = ask(7, 8675309)
    assert "8675309" not in repr(verdict) + verdict._repr_html_() + str(vars(verdict))


def test_what_the_learner_typed_is_escaped() -> None:
    assert "<script>" not in ask("<script>alert(1)</script>")._repr_html_()


def test_only_a_right_answer_is_remembered(own_progress: Path) -> None:
    ask(22)
    assert solved.solved() == {}
    ask(23)
    assert list(json.loads(own_progress.read_text())["solved"]) == ["99-q1"]


def test_solving_again_keeps_the_first_time(own_progress: Path) -> None:
    own_progress.write_text('{"solved": {"99-q1": "2001-01-01T00:00:00+00:00", "99-q2": "2002-01-01"}}')
    ask(23)
    assert solved.solved() == {"99-q1": "2001-01-01T00:00:00+00:00", "99-q2": "2002-01-01"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"solved": 3}', "\x00\xff"])
def test_a_spoilt_progress_file_counts_as_empty(own_progress: Path, content: str) -> None:
    own_progress.write_bytes(content.encode("latin-1"))
    assert solved.solved() == {}
    assert ask(23).ok
    assert list(solved.solved()) == ["99-q1"]


def test_an_answer_is_right_even_where_progress_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_PROGRESS", "/proc/nowhere/progress.json")
    verdict = ask(23)
    assert verdict.ok
    assert "could not be saved" in verdict.text


def test_a_right_answer_tells_how_many_of_its_lesson_are_solved() -> None:
    asked = {name: Question(ask="?") for name in ("98-q1", "98-q2", "99-q1")}
    for name in asked:
        truths.expect(name, 23)
    assert "1 of 2 exercises of lesson 98 are solved" in check("98-q1", 23, questions=asked).text
    assert "All 2 exercises of lesson 98 are solved" in check("98-q2", 23, questions=asked).text


def test_every_question_of_the_lab_is_named_by_lesson_and_number() -> None:
    for name, question in all_questions().items():
        lesson, _, rest = name.partition("-q")
        assert lesson.isdigit() and len(lesson) == 2 and rest.isdigit(), name
        assert question.ask and question.first and question.otherwise, name


def test_a_hint_names_a_frame_of_its_own_exercise() -> None:
    """Not one of an exercise before it; unless its own cells make none, and it goes on with that."""
    strange = {}
    for name, question in all_questions().items():
        [lesson] = repo_folder().joinpath("notebooks").glob(f"{name[:2]}-*.ipynb")
        cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        exercises = code.partition(f'labkit.check("{name}"')[0].split("labkit.check(")
        made = [re.findall(r"^(\w+) = ", exercise, re.MULTILINE) for exercise in exercises]
        own = next(names for names in reversed(made) if names)
        said = " ".join([question.otherwise, *(hint.say for hint in question.hints)])
        frames = re.findall(r"\b([a-z_]+)(?:\[|\.(?:groupby|loc|mean)\b)", said)
        if not {*frames} <= {*own}:
            strange[name] = frames
    assert strange == {}


def test_a_third_to_either_side_is_near_enough_where_the_exercise_says_so() -> None:
    truths.expect("07-q4", 300.0)
    assert check("07-q4", 400).ok and check("07-q4", 200).ok
    assert not check("07-q4", 420).ok and not check("07-q4", 180).ok
