# SPDX-License-Identifier: Apache-2.0
"""The exercises of all lessons by name ("01-q2"); each lesson's are in its own `questions.py`."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from labkit.course import LESSONS
from labkit.notebook.question import Question

__all__ = ["all_questions"]


@cache
def all_questions() -> dict[str, Question]:
    """Return every exercise of the course, in order.

    The course's table says which lessons there are; no lesson is imported by name here, because imports go down only.
    """
    found: dict[str, Question] = {}
    for lesson in LESSONS:
        found |= import_module(f"labkit.lessons.{lesson.stem}.questions").QUESTIONS
    return found
