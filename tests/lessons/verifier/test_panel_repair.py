# SPDX-License-Identifier: Apache-2.0
"""Lesson 03's workshop, used as a learner would."""

from __future__ import annotations

import pytest

from labkit.lessons import verifier
from labkit.lessons.verifier.gallery import GALLERY
from labkit.lessons.verifier.panel_repair import TO_REPAIR, exercise_text


@pytest.mark.parametrize("program", GALLERY)
def test_the_source_gives_nothing_away(program: str) -> None:
    text = exercise_text(program)
    assert "FIXED" not in text
    assert "/*" not in text
    assert text != exercise_text(program, fixed=True)


def test_the_lesson_shows_five_in_full() -> None:
    assert len(set(GALLERY) - set(TO_REPAIR)) == 5
    assert set(TO_REPAIR) <= set(GALLERY)


def test_without_a_browser_it_is_the_source() -> None:
    assert exercise_text("past_value") in repr(verifier.workshop())


@pytest.mark.bpf
@pytest.mark.parametrize("program", TO_REPAIR)
def test_each_program_is_rejected_for_its_cause_and_accepted_when_repaired(program: str) -> None:
    made = verifier.workshop()
    made.program.value = program
    made.cause.value = GALLERY[program].cause
    made.ask.click()
    assert made.verdict is not None and made.verdict.kind == GALLERY[program].cause
    assert "the verifier agrees" in made._result.value
    assert "Verified:" not in made._result.value and "press Show the fix" in made._result.value
    made.fix.click()
    made.ask.click()
    assert made.verdict.kind == "accepted"
    assert "1 of 10 programs repaired." in made._result.value


@pytest.mark.bpf
def test_a_wrong_prediction_is_told_the_cause_and_a_typing_mistake_what_clang_says() -> None:
    made = verifier.workshop()
    made.program.value = "no_result"
    made.cause.value = "loop"
    made.ask.click()
    assert "You predicted loop. The cause is: uninitialised." in made._result.value
    made.source.value = made.source.value.replace("return result;", "return resul;")
    made.ask.click()
    assert made.verdict is None
    assert "resul" in made._result.value
    made.again.click()
    assert made.source.value == exercise_text("no_result")
