# SPDX-License-Identifier: Apache-2.0
"""Learners write kernel code in most lessons: at least 20 exercises, each with a cell of C to begin with."""

from __future__ import annotations

import json
import re
from importlib import import_module

import pytest
from tree import ROOT

from labkit.course import LESSONS, Lesson
from labkit.notebook.question import Question

AT_LEAST = 20
TWO_EACH = ("01", "02", "04", "05", "06", "08", "09", "11", "12")


def in_c(lesson: Lesson) -> dict[str, Question]:
    """Return the exercises of a lesson whose answer is, or comes from, a program of the learner's own."""
    questions: dict[str, Question] = import_module(f"labkit.lessons.{lesson.stem}.questions").QUESTIONS
    return {name: each for name, each in questions.items() if each.judge is not None or "%%bpf" in each.first}


def test_there_are_at_least_twenty() -> None:
    assert sum(len(in_c(lesson)) for lesson in LESSONS) >= AT_LEAST


@pytest.mark.parametrize("number", TWO_EACH)
def test_these_lessons_have_two_each(number: str) -> None:
    (lesson,) = [each for each in LESSONS if each.number == number]
    assert len(in_c(lesson)) >= 2


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.number)
def test_each_begins_with_a_cell_of_c_and_is_judged_by_its_name(lesson: Lesson) -> None:
    cells = json.loads((ROOT / "notebooks" / lesson.notebook).read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    begun = {found[1] for text in sources if (found := re.match(r"%%bpf (\w+)", text))}
    for name, question in in_c(lesson).items():
        if question.judge is not None:
            (asked,) = [text for text in sources if f'labkit.check("{name}"' in text]
            program = re.search(rf'labkit\.check\("{name}", (\w+)', asked)
            assert program and program[1] in begun, name
        else:
            assert len(begun) >= len(in_c(lesson)), name
