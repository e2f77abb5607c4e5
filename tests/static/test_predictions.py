# SPDX-License-Identifier: Apache-2.0
"""Each prediction of a lesson has a name, and each wrong choice an answer of its own."""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module
from typing import Any

import pytest
from tree import ROOT

from labkit.course import LESSONS, Lesson
from labkit.notebook.replies import Replies

NUMBERS = [lesson.number for lesson in LESSONS]


def asked(lesson: Lesson) -> list[dict[str, Any]]:
    """Return the calls of labkit.predict in a lesson's notebook: name, and choices where they are written there."""
    found = []
    for cell in json.loads((ROOT / "notebooks" / lesson.notebook).read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or "labkit.predict(" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "labkit.predict":
                name = next((ast.literal_eval(each.value) for each in node.keywords if each.arg == "name"), "")
                literal = len(node.args) > 1 and isinstance(node.args[1], ast.List)
                found.append({"name": name, "choices": ast.literal_eval(node.args[1]) if literal else None})
    return found


def replies_of(lesson: Lesson) -> dict[str, Replies]:
    found: dict[str, Replies] = import_module(f"labkit.lessons.{lesson.stem}.questions").PREDICTIONS
    return found


@pytest.mark.parametrize("lesson", LESSONS, ids=NUMBERS)
def test_predictions_are_named_in_order_and_each_has_its_replies(lesson: Lesson) -> None:
    names = [each["name"] for each in asked(lesson)]
    assert names == [f"{lesson.number}-p{number}" for number in range(1, len(names) + 1)]
    assert sorted(replies_of(lesson)) == sorted(names)


@pytest.mark.parametrize("lesson", LESSONS, ids=NUMBERS)
def test_every_choice_but_the_usual_one_has_an_answer_of_its_own(lesson: Lesson) -> None:
    for each in asked(lesson):
        replies = replies_of(lesson)[each["name"]]
        answers = list(replies.wrong.values())
        assert len(set(answers)) == len(answers) and all(len(answer) > 30 for answer in answers), each
        if each["choices"] is not None:
            choices = {str(choice) for choice in each["choices"]}
            assert {*replies.wrong, replies.usual} - {""} == choices, each
            assert choices - {replies.usual} <= {*replies.wrong}, each


@pytest.mark.parametrize("lesson", LESSONS, ids=NUMBERS)
def test_an_idea_that_comes_back_has_one_right_choice_for_every_number(lesson: Lesson) -> None:
    for name, replies in replies_of(lesson).items():
        for number in range(11, 98) if replies.again is not None else ():
            again = replies.again(number)  # type: ignore[misc]
            choices = [str(choice) for choice in again.choices]
            assert len(set(choices)) == len(choices) >= 2, (name, number)
            assert str(again.right) in choices, (name, number)
            assert re.search(r"[.?]$", again.ask) and again.why.endswith("."), name
