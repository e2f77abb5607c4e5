# SPDX-License-Identifier: Apache-2.0
"""The exercises ("01-q2") and predictions ("01-p2") of all lessons by name; each lesson has its own `questions.py`."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from labkit.course import LESSONS
from labkit.notebook.question import Question
from labkit.notebook.replies import Replies

__all__ = ["all_questions", "all_replies"]


@cache
def all_questions() -> dict[str, Question]:
    """Return every exercise of the course, in order.

    The course's table says which lessons there are; no lesson is imported by name here, because imports go down only.
    """
    found: dict[str, Question] = {}
    for lesson in LESSONS:
        found |= import_module(f"labkit.lessons.{lesson.stem}.questions").QUESTIONS
    return found


@cache
def all_replies() -> dict[str, Replies]:
    """Return what is said to a wrong prediction: prediction ("01-p2") -> its replies."""
    found: dict[str, Replies] = {}
    for lesson in LESSONS:
        found |= import_module(f"labkit.lessons.{lesson.stem}.questions").PREDICTIONS
    return found
