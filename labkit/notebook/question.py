# SPDX-License-Identifier: Apache-2.0
"""What an exercise knows of itself: how to read an answer, when it is right, what to say when it is not."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from labkit.running.judgement import Judgement

__all__ = ["Hint", "Question", "names", "number", "text", "whole"]


def _single(answer: Any) -> Any:
    """Return the one value inside a NumPy scalar or a Series, array, list or set of length one; else the answer."""
    if isinstance(answer, (list, tuple, set, frozenset)) and len(answer) == 1:
        return next(iter(answer))
    if hasattr(answer, "item") and getattr(answer, "size", 1) == 1:
        return answer.item()
    return answer


def whole(answer: Any) -> int:
    """Read a whole number: 23, 23.0, "23", or a Series of length one."""
    value = _single(answer)
    if isinstance(value, bool):
        raise ValueError("give a whole number, such as 23")
    try:
        if isinstance(value, str):
            return int(value.strip().replace("_", "").replace(",", ""))
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return operator.index(value)
    except (TypeError, ValueError):
        raise ValueError("give a whole number, such as 23") from None


def number(answer: Any) -> float:
    """Read a number: 1.5, "1.5", or a Series of length one."""
    value = _single(answer)
    try:
        if isinstance(value, bool):
            raise TypeError
        read = float(value)
    except (TypeError, ValueError):
        raise ValueError("give a number, such as 1.5") from None
    if read != read:
        raise ValueError("give a number; this is NaN, not a number")
    return read


def text(answer: Any) -> str:
    """Read a word or a name; capitals and the spaces around it do not count."""
    value = _single(answer)
    if not isinstance(value, str):
        raise ValueError('give a text, such as "read"')
    return value.strip().casefold()


def names(answer: Any) -> frozenset[str]:
    """Read several names, in any order: a list, a set, a Series, or one text with commas."""
    if isinstance(answer, str):
        parts: Iterable[Any] = answer.split(",")
    elif isinstance(answer, Iterable):
        parts = answer
    else:
        raise ValueError('give names, such as ["read", "write"]')
    return frozenset(text(part) for part in parts)


@dataclass(frozen=True)
class Hint:
    """What to `say` about a wrong answer of a typical kind, recognised by `when(answer, truth)`."""

    when: Callable[[Any, Any], bool]
    say: str


@dataclass(frozen=True)
class Question:
    """One exercise.

    Parameters
    ----------
    ask : the question, one line.
    read : turns what the learner passed into a plain value, or raises ValueError saying what is wanted:
        `whole`, `number`, `text`, `names` or one of the lesson's own.
    first : what to do before the question can be checked, one line ("run the cell that starts the decoys").
    hints : tried in order on a wrong answer; the first that fits is shown.
    otherwise : the hint for any other wrong answer.
    why : one sentence shown with a right answer.
    tolerance : for numbers, how far from the truth is still right, as a share of it (0.1 is 10 %).
    truth : finds the truth where no experiment has told it (`labkit.running.truths`).
    right : decides on (answer, truth); the default compares, numbers within `tolerance`.
    judge : instead of all that, tries the answer, a learner's program, on work drawn at that moment.
    """

    ask: str
    read: Callable[[Any], Any] = whole
    first: str = "run the cells above this one"
    hints: tuple[Hint, ...] = ()
    otherwise: str = "Look at the table again: which row answers the question?"
    why: str = ""
    tolerance: float = 0.0
    truth: Callable[[], Any] | None = None
    right: Callable[[Any, Any], bool] | None = None
    judge: Callable[[object], Judgement] | None = None

    def accepts(self, answer: Any, truth: Any) -> bool:
        """Return True when `answer`, as `read` made it, is right."""
        if self.right is not None:
            return bool(self.right(answer, truth))
        if isinstance(answer, (int, float)) and isinstance(truth, (int, float)):
            return abs(answer - truth) <= self.tolerance * abs(truth)
        return bool(answer == truth)

    def hint(self, answer: Any, truth: Any) -> str:
        """Return the hint for a wrong answer."""
        return next((hint.say for hint in self.hints if hint.when(answer, truth)), self.otherwise)
