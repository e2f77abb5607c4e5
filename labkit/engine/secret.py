"""Truths that an experiment knows and the learner has to find: exercises cannot be looked up.

An experiment calls `secret` or `expect` with the name of a question of its lesson; `labkit.check` compares the
learner's answer with it. The truths live in this process only, so they must be kept by the process: that is the one
thing here that is remembered between calls.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from typing import TypeVar

__all__ = ["Unknown", "expect", "expected", "pick", "secret"]

T = TypeVar("T")


class Unknown(LookupError):
    """The experiment that sets this truth has not run yet."""


class _Vault:
    """Truths by question; shows none of them when it is printed."""

    __slots__ = ("_lock", "_truths")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._truths: dict[str, object] = {}

    def put(self, question: str, truth: object) -> None:
        with self._lock:
            self._truths[question] = truth

    def get(self, question: str) -> object:
        with self._lock:
            if question not in self._truths:
                raise Unknown(question)
            return self._truths[question]


_VAULT = _Vault()


def expect(question: str, truth: object) -> None:
    """Remember `truth` as the answer to `question` ("01-q2"); a later call replaces it."""
    _VAULT.put(question, truth)


def expected(question: str) -> object:
    """Return the truth of `question`; raise `Unknown` where its experiment has not run yet."""
    return _VAULT.get(question)


def secret(question: str, low: int, high: int) -> int:
    """Draw a whole number from `low` to `high`, both included, and expect it as the answer to `question`."""
    number = low + secrets.randbelow(high - low + 1)
    expect(question, number)
    return number


def pick(question: str, choices: Sequence[T]) -> T:
    """Draw one of `choices` and expect it as the answer to `question`."""
    choice = secrets.choice(choices)
    expect(question, choice)
    return choice
