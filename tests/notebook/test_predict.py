# SPDX-License-Identifier: Apache-2.0
"""A prediction is made once, before the measurement."""

from __future__ import annotations

import re

from labkit.notebook.predict import Prediction, predict


def commit(guess: Prediction, answer: str | None) -> Prediction:
    guess._entry.value = answer
    guess._button.click()
    return guess


def test_commit_keeps_the_answer_and_closes_the_question() -> None:
    guess = commit(predict("How many?", [0, 23, 46]), "23")
    assert guess.answer == "23"
    assert guess._entry.disabled and guess._button.disabled


def test_it_cannot_be_changed_afterwards() -> None:
    guess = commit(predict("How many?", [0, 23]), "23")
    assert commit(guess, "0").answer == "23"


def test_nothing_chosen_is_no_answer() -> None:
    assert commit(predict("How many?", [0, 23]), None).answer is None
    assert commit(predict("How many?"), "  ").answer is None


def test_prediction_and_measurement_are_shown_side_by_side() -> None:
    guess = commit(predict("How many?", [0, 23]), "0")
    assert re.search(r"said 0.*23", guess.against(23).text)
    assert "it is" in guess.against(0).text


def test_without_a_prediction_the_measurement_is_shown_alone() -> None:
    assert "Measured: 23" in predict("How many?").against(23).text


def test_without_a_browser_the_question_and_its_choices_are_text() -> None:
    bundle = predict("How many <i>?", [0, 23])._repr_mimebundle_()
    assert "( ) 23" in bundle["text/plain"]
    assert "<li>23</li>" in bundle["text/html"] and "<i>" not in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
