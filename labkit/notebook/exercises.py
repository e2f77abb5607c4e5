# SPDX-License-Identifier: Apache-2.0
"""The exercises ("01-q2") and predictions ("01-p2") of all lessons by name; each lesson has its own `questions.py`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from labkit.course import LESSONS
from labkit.notebook.question import Question
from labkit.notebook.replies import Replies

__all__ = ["all_questions", "all_replies"]


@cache
def all_questions() -> dict[str, Question]:
    """Return every exercise of the course, in order."""
    return _of_all_lessons("QUESTIONS")


@cache
def all_replies() -> dict[str, Replies]:
    """Return what is said to a wrong prediction: prediction ("01-p2") -> its replies."""
    return _of_all_lessons("PREDICTIONS")


def _of_all_lessons(table: str) -> dict[str, Any]:
    """Return the tables of this name of all lessons as one."""
    found: dict[str, Any] = {}
    for lesson in LESSONS:  # none is imported by name here, because imports go down only
        found |= getattr(import_module(f"labkit.lessons.{lesson.stem}.questions"), table)
    return found
