# SPDX-License-Identifier: Apache-2.0
"""What became of a learner's program when it was tried on hidden work: what `labkit.check` shows of it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Judgement"]


@dataclass(frozen=True)
class Judgement:
    """The result of a trial.

    Parameters
    ----------
    ok : the program was right in every case.
    passed : the names of the cases in which it was right.
    case : the name of the case in which it was wrong; empty when it could not be tried at all.
    said : lines that say what was expected and what was found, or why it could not be tried.
    hint : one sentence that leads on.
    """

    ok: bool
    passed: tuple[str, ...] = ()
    case: str = ""
    said: tuple[str, ...] = ()
    hint: str = ""
