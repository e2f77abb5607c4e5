# SPDX-License-Identifier: Apache-2.0
"""A prediction is made once, before the measurement."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from labkit.course import LESSONS
from labkit.notebook import exercises, overview, solved
from labkit.notebook.once_more import ask_again
from labkit.notebook.predict import Prediction, predict
from labkit.notebook.predicted import predictions
from labkit.notebook.replies import Again, Replies


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.json"))
    return tmp_path / "progress.json"


def commit(guess: Prediction, answer: str | None) -> Prediction:
    guess._entry.value = answer
    guess._button.click()
    return guess


def test_commit_keeps_the_answer_and_closes_the_question() -> None:
    guess = commit(predict("How many?", [0, 23, 46]), "23")
    assert guess.answer == "23"
    assert guess._entry.disabled and guess._button.disabled


def test_an_ellipsis_gets_no_full_stop() -> None:
    assert predict("Which order?", ["1, 3, …"]).against("1, 3, …").text == "Measured: 1, 3, …"


def test_it_cannot_be_changed_afterwards() -> None:
    guess = commit(predict("How many?", [0, 23]), "23")
    assert commit(guess, "0").answer == "23"


def test_nothing_chosen_is_no_answer() -> None:
    assert commit(predict("How many?", [0, 23]), None).answer is None
    assert commit(predict("How many?"), "  ").answer is None


def test_prediction_and_measurement_are_shown_side_by_side() -> None:
    guess = commit(predict("How many?", [0, 23]), "0")
    assert re.search(r"said 0.*23", guess.against(23).text)
    assert "that is what was measured" in guess.against(0).text


def test_without_a_prediction_the_measurement_is_shown_alone() -> None:
    assert "Measured: 23" in predict("How many?").against(23).text


def test_without_a_browser_the_question_and_its_choices_are_text() -> None:
    bundle = predict("How many <i>?", [0, 23])._repr_mimebundle_()
    assert "( ) 23" in bundle["text/plain"]
    assert "<li>23</li>" in bundle["text/html"] and "<i>" not in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


# -- predictions that have a name ------------------------------------------------------------------


def ask(name: str = "01-p2") -> Prediction:
    return predict("The workload starts a program 23 times. How many events arrive?", [22, 23], name=name)


def miss(name: str = "01-p2") -> None:
    commit(ask(name), "22").against(23)


def test_a_wrong_choice_gets_its_own_answer() -> None:
    told = commit(ask(), "22").against(23).text
    assert "said 22; measured: 23" in told and "lost_events is 0" in told
    assert "What did you assume" in commit(predict("How many?", [22, 23]), "22").against(23).text


def test_the_first_answer_is_kept_with_what_was_measured(own_progress: Path) -> None:
    miss()
    second = ask()
    assert "first answer was <strong>22" in second._reply.value
    commit(second, "23").against(23)
    made = predictions()["01-p2"]
    assert (made.said, made.measured, made.right, made.choices) == ("22", "23", False, ("22", "23"))


def test_solved_exercises_and_predictions_are_kept_side_by_side(own_progress: Path) -> None:
    solved.remember("01-q1")
    miss()
    solved.remember("01-q2")
    kept = json.loads(own_progress.read_text())
    assert [*kept["solved"]] == ["01-q1", "01-q2"] and [*kept["predictions"]] == ["01-p2"]


@pytest.mark.parametrize("damage", ['{"solved": {}, "predictions": 3}', '{"predictions": {"01-p2": 7}}', "{", "[]"])
def test_a_damaged_file_counts_as_no_prediction_and_is_replaced(own_progress: Path, damage: str) -> None:
    own_progress.write_text(damage)
    assert predictions() == {}
    miss()
    assert [*predictions()] == ["01-p2"]


@pytest.mark.parametrize("field", ["question", "choices", "said"])
def test_a_damaged_record_counts_as_missing(own_progress: Path, field: str) -> None:
    miss()
    kept = json.loads(own_progress.read_text())
    kept["predictions"]["01-p2"][field] = 3
    own_progress.write_text(json.dumps(kept))
    assert predictions() == {} and ask("02-p1").again is None


def test_a_file_that_cannot_be_written_is_reported_and_the_prediction_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_PROGRESS", "/proc/nowhere/progress.json")
    guess = commit(ask(), "23")
    assert guess.answer == "23" and "could not be saved" in guess._reply.value
    assert "that is what was measured" in guess.against(23).text


def test_a_missed_idea_comes_back_once_in_a_later_lesson_with_fresh_numbers() -> None:
    miss()
    assert ask("01-p3").again is None  # not in the same lesson
    back = ask("02-p1").again
    assert back is not None and "from lesson 01" in repr(back) and "23" not in back.again.ask
    assert ask("02-p2").again is None  # it is below 02-p1
    assert ask("02-p1").again is not None  # and there until it is answered
    back._entry.value = str(back.again.right)
    back._button.click()
    assert back.is_right and "Right." in back._reply.value
    assert predictions()["01-p2"].again_right is True
    assert ask("02-p1").again is None and ask("03-p1").again is None


def test_what_is_left_at_the_end_is_asked_again_the_last_lessons_ideas_too() -> None:
    assert "No idea is left" in repr(ask_again())
    miss("01-p2")
    assert ask("02-p1").again is not None
    for name in ("12-p1", "12-p3"):
        miss(name)
    commit(ask("12-p2"), "23").against(23)
    left = ask_again()
    assert [idea.name for idea in left.ideas] == ["12-p1", "12-p3"]
    assert "Once more, from lesson 12:" in left._repr_mimebundle_()["text/html"]
    for idea in left.ideas:
        idea._entry.value = str(idea.again.right)
        idea._button.click()
    assert predictions()["12-p1"].again_right is True
    assert "2 of the others came back later; then you were right in 2." in overview.progress().text
    assert ask_again().ideas == [] and ask("02-p1").again is not None


def test_an_idea_that_was_predicted_right_does_not_come_back() -> None:
    commit(ask(), "23").against(23)
    commit(ask("01-p3"), "22")  # not measured
    assert ask("02-p1").again is None


def test_two_missed_ideas_come_back_one_after_the_other() -> None:
    miss("01-p1")
    miss("01-p2")
    first, second = ask("02-p1").again, ask("02-p2").again
    assert first is not None and second is not None and (first.name, second.name) == ("01-p1", "01-p2")


def test_without_a_question_with_numbers_what_was_measured_is_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.notebook.once_more.all_replies", lambda: {"01-p2": Replies({"22": "…"})})
    miss()
    back = ask("02-p1").again
    assert back is not None and back.again.right == "23" and sorted(back.choices) == ["22", "23"]
    back._entry.value = "22"
    back._button.click()
    assert "No: <strong>23</strong>. You measured it in lesson 01." in back._reply.value


def test_the_question_that_comes_back_is_text_without_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    again = Replies({}, again=lambda n: Again("<b> or?", ["a", "b"], "a", "Why."))
    monkeypatch.setattr("labkit.notebook.once_more.all_replies", lambda: {"01-p2": again})
    miss()
    bundle = ask("02-p1")._repr_mimebundle_()
    assert "Once more, from lesson 01: <b> or?" in bundle["text/plain"]
    assert "&lt;b&gt; or?" in bundle["text/html"]


def test_the_progress_page_says_how_often_predictions_were_right_by_lesson() -> None:
    assert "made no prediction yet" in overview.progress().text
    miss()
    commit(ask("01-p1"), "23").against(23)
    commit(ask("02-p1"), "23").against(23)
    shown = overview.progress()
    rows = {
        lesson: next(row for row in shown.text.splitlines() if f" {lesson} " in row) for lesson in ("01", "02", "03")
    }
    assert "1 of 2" in rows["01"] and "1 of 1" in rows["02"] and "–" in rows["03"]
    assert (shown.right, shown.predicted) == (2, 3) and "right in 2 of 3 predictions" in shown.text
    assert "predicted right" in shown.html


def test_every_lesson_has_its_replies() -> None:
    assert len(exercises.all_replies()) >= 61


LATER = [lesson.number for lesson in LESSONS]


@pytest.mark.parametrize("lesson", LATER[:-1])
def test_each_idea_that_is_missed_comes_back_once_in_a_later_lesson(lesson: str) -> None:
    """Also the last but one: lesson 12 asks for what was missed in lesson 11."""
    names = [name for name in exercises.all_replies() if name.startswith(lesson)]
    for name in names:
        reply = exercises.all_replies()[name]
        wrong = next(choice for choice in reply.wrong if choice != reply.usual)
        measured = reply.usual or "measured"
        commit(predict("Which?", [wrong, measured], name=name), wrong).against(measured)
    shown = []
    later = [name for name in exercises.all_replies() if name[:2] > lesson]
    for where in sorted(later):
        again = ask(where).again
        if again is not None:
            shown.append(again.name)
            again._entry.value = str(again.again.right)
            again._button.click()
    assert shown == sorted(names)[: len(later)]  # one below each prediction


def test_each_prediction_is_kept_and_calibration_counts_each_lesson() -> None:
    for lesson in LESSONS:
        commit(ask(f"{lesson.number}-p1"), "23").against(23)
    shown = overview.progress()
    assert (shown.right, shown.predicted) == (len(LESSONS), len(LESSONS))
    assert [lesson.number for lesson in LESSONS if not re.search(rf"1 of 1  {lesson.number} ", shown.text)] == []
