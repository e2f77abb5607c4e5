# SPDX-License-Identifier: Apache-2.0
"""Check an exercise: `labkit.check("01-q2", answer)`. A wrong answer gets a hint; nothing is ever raised."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labkit.errors import LabkitError
from labkit.notebook import solved
from labkit.notebook.exercises import all_questions
from labkit.notebook.question import Question
from labkit.notebook.refused import Refused
from labkit.notebook.render import Rendered, note
from labkit.running import truths
from labkit.running.judgement import Judgement

__all__ = ["CheckedAnswer", "check"]


@dataclass(frozen=True, repr=False)
class CheckedAnswer(Rendered):
    """What became of an answer: `ok` is True only when it is right."""

    ok: bool = False


def _verdict(state: str, *lines: str) -> CheckedAnswer:
    shown = note(state, lines)
    return CheckedAnswer(shown.text, shown.html, ok=state == "ok")


def check(question: str, answer: object = ..., *, questions: Mapping[str, Question] | None = None) -> CheckedAnswer:
    """Compare an answer with what really happened in this run of the lesson.

    Parameters
    ----------
    question : the name of the exercise, such as "01-q2".
    answer : what you found; most exercises take a number or a name.
    questions : the exercises to look in (all lessons' by default).

    Returns
    -------
    a `CheckedAnswer`, printed or shown by the notebook; `.ok` tells whether the answer is right.
    """
    questions = all_questions() if questions is None else questions
    known = questions.get(question) if isinstance(question, str) else None
    if known is None:
        near = difflib.get_close_matches(str(question), questions, n=1)
        return _verdict(
            "warning",
            f"There is no exercise named {question!r}.",
            f"Did you mean {near[0]!r}?" if near else f"The names are: {', '.join(sorted(questions)) or 'none yet'}.",
        )
    if answer is None or answer is ... or (isinstance(answer, str) and not answer.strip()):
        return _verdict(
            "note", f"{question}: {known.ask}", "Put your answer in place of the dots, then run the cell again."
        )
    try:
        return _compare(question, questions, answer)
    except Exception as error:  # an exercise's own rule may fail on what a learner can think of: still no stack trace
        return _verdict("warning", f"{question}: this answer cannot be compared.", f"{type(error).__name__}: {error}")


def _compare(name: str, questions: Mapping[str, Question], answer: object) -> CheckedAnswer:
    question = questions[name]
    if question.judge is not None:
        return _try(name, questions, question.judge, answer)
    try:
        truth = truths.expected(name) if question.truth is None else question.truth()
    except truths.Unknown:
        return _verdict("note", f"{name}: there is nothing to compare with yet.", f"First {question.first}.")
    if callable(answer):
        return _verdict("warning", f"{name}: the answer is a function, not its result.", "Hint: you forgot the ().")
    try:
        read = question.read(answer)
    except ValueError as error:
        return _verdict("warning", f"{name}: the answer is of another kind.", f"Hint: {error}; got {_short(answer)}.")
    if question.right is None:
        truth = question.read(truth)
    if not question.accepts(read, truth):
        return _verdict("warning", f"{name}: not yet.", f"Hint: {question.hint(read, truth)}")
    return _verdict("ok", f"{name}: right.", question.why, _remembered(name, questions))


def _try(
    name: str, questions: Mapping[str, Question], judge: Callable[[object], Judgement], answer: object
) -> CheckedAnswer:
    """Try a learner's program."""
    if isinstance(answer, Refused):
        return _verdict("warning", f"{name}: {answer!r}", f"Fix: {answer.fix}.")
    try:
        made = judge(answer)
    except LabkitError as error:
        return _verdict("warning", f"{name}: {error.what}", f"{error.advice}: {error.fix}")
    if not made.ok:
        passed = f"Right so far: {', '.join(made.passed)}." if made.passed else ""
        return _verdict(
            "warning", f"{name}: not yet. Wrong in the case: {made.case}.", *made.said, f"Hint: {made.hint}", passed
        )
    tried = f"Tried in {len(made.passed)} cases with numbers drawn just now: {', '.join(made.passed)}."
    return _verdict("ok", f"{name}: right.", tried, questions[name].why, _remembered(name, questions))


def _remembered(name: str, questions: Mapping[str, Question]) -> str:
    """Keep a solved exercise, and return the score of its lesson in words."""
    try:
        solved.remember(name)
        return _score(name, questions)
    except (OSError, LabkitError) as error:
        return f"(Your progress could not be saved: {error}.)"


def _score(name: str, questions: Mapping[str, Question]) -> str:
    """Return how many exercises of this one's lesson are solved, in words."""
    lesson = name.partition("-")[0]
    own = {question for question in questions if question.startswith(f"{lesson}-")}
    right = len(own & solved.solved().keys())
    if right == len(own):
        return f"All {right} exercises of lesson {lesson} are solved; labkit.progress() shows the other lessons'."
    return f"{right} of {len(own)} exercises of lesson {lesson} are solved."


def _short(answer: object) -> str:
    """Return an answer as one short line."""
    line = " ".join(repr(answer).split())
    return line if len(line) <= 60 else line[:57] + "..."
