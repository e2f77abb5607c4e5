# SPDX-License-Identifier: Apache-2.0
"""Truths that an experiment knows and the learner has to find: exercises cannot be looked up.

An experiment draws what it hides, measures, and then calls `expect` with the name of a question of its lesson;
`labkit.check` compares the learner's answer with it. Call `expect` only after the measurement has ended: if the
measurement raises, the learner sees a recording, whose answer is another one. The truths are kept in this process only.
"""

from __future__ import annotations

import threading

__all__ = ["Unknown", "expect", "expected"]


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
