# SPDX-License-Identifier: Apache-2.0
"""An idea that the learner missed in an earlier lesson comes back once, below a prediction of a later one."""

from __future__ import annotations

import random
from html import escape
from typing import Any

import ipywidgets as widgets

from labkit.notebook.exercises import all_replies
from labkit.notebook.predicted import Predicted, note_again, note_shown, predictions
from labkit.notebook.replies import Again

__all__ = ["OnceMore", "once_more"]


class OnceMore:
    """The question, its choices, and a button; `say` holds the same as text."""

    def __init__(self, missed: Predicted, again: Again) -> None:
        self.name = missed.name
        self.again = again
        self.choices = [str(choice) for choice in again.choices]
        self.is_right: bool | None = None
        wide = widgets.Layout(width="auto", max_width="60em")
        self._entry = widgets.RadioButtons(options=self.choices, value=None, layout=wide)
        self._button = widgets.Button(description="Answer", tooltip="Answer this question once")
        self._reply = widgets.HTML()
        self._button.on_click(self._answer)
        head = widgets.HTML(f"<strong>{escape(self._head)}</strong> {escape(again.ask)}")
        self.widget = widgets.VBox([head, self._entry, widgets.HBox([self._button, self._reply])])

    @property
    def _head(self) -> str:
        return f"Once more, from lesson {self.name[:2]}:"

    def _answer(self, _: object) -> None:
        if self.is_right is not None:
            return
        if self._entry.value is None:
            self._reply.value = "Choose an answer first."
            return
        self.is_right = self._entry.value == str(self.again.right)
        self._entry.disabled = self._button.disabled = True
        said = "Right." if self.is_right else f"No: <strong>{escape(str(self.again.right))}</strong>."
        self._reply.value = f"{said} {escape(self.again.why)}"
        note_again(self.name, self.is_right)

    def __repr__(self) -> str:
        return "\n".join([f"{self._head} {self.again.ask}", *(f"  ( ) {choice}" for choice in self.choices)])


def once_more(where: str) -> OnceMore | None:
    """Return the oldest idea that was missed in a lesson before that of the prediction `where` ("04-p1"), or None.

    It comes back once: below the prediction that shows it first, and there until it is answered.
    """
    for name, made in sorted(predictions().items()):
        is_due = made.right is False and name[:2] < where[:2] and made.again_right is None
        if is_due and made.again_in in ("", where) and (again := _again(made)) is not None:
            note_shown(name, where)
            return OnceMore(made, again)
    return None


def _again(missed: Predicted) -> Again | None:
    """Return the question of a missed idea, with fresh numbers where it has any."""
    chance = random.SystemRandom()
    replies: Any = all_replies().get(missed.name)
    if replies is not None and replies.again is not None:
        made: Again = replies.again(
            chance.choice([number for number in range(11, 98) if number != 23])
        )  # 23 is the number of most lessons
        return Again(made.ask, chance.sample(list(made.choices), len(made.choices)), made.right, made.why)
    if missed.measured not in missed.choices:
        return None
    choices = chance.sample(missed.choices, len(missed.choices))
    return Again(missed.question, choices, missed.measured, f"You measured it in lesson {missed.name[:2]}.")
