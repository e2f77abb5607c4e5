# SPDX-License-Identifier: Apache-2.0
"""What is said to a prediction that was wrong, and how its idea comes back in a later lesson."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Again", "Replies"]


@dataclass(frozen=True)
class Again:
    """An idea, asked once more with fresh numbers.

    Parameters
    ----------
    ask : the question.
    choices : the answers to choose from; `right` is one of them.
    why : one sentence, shown with the answer.
    """

    ask: str
    choices: Sequence[object]
    right: object
    why: str


@dataclass(frozen=True)
class Replies:
    """The answers to the choices of one prediction.

    Parameters
    ----------
    wrong : choice -> what is said when it was chosen and something else was measured: what who chose it believed, and
        which number on the screen speaks against it. Every choice but `usual` has one.
    usual : the choice that is measured on the machines that were tested; may be empty, if machines differ.
    again : makes the idea's question of a number that is drawn (11 to 97), for a later lesson. Without it, the question
        comes back as it was, and what was measured then is the answer.
    """

    wrong: Mapping[str, str]
    usual: str = ""
    again: Callable[[int], Again] | None = None
