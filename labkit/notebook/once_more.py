# SPDX-License-Identifier: Apache-2.0
"""An idea that the learner missed comes back once: below a prediction of a later lesson, or at the end of the last one.

The ideas of the last lesson have no later one, and nobody has to do all lessons: `ask_again` asks what is left.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from labkit.notebook.exercises import all_replies
from labkit.notebook.predicted import Predicted, note_again, note_shown, predictions
from labkit.notebook.render import note
from labkit.notebook.replies import Again

__all__ = ["AskAgain", "OnceMore", "ask_again", "once_more"]

_AT_THE_END = "end"  # in the place of a prediction
_NONE_LEFT = "No idea is left to be asked again: you predicted right, or have answered it since."


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
    for made in _due(where):
        if made.name[:2] < where[:2] and (again := _again(made)) is not None:
            note_shown(made.name, where)
            return OnceMore(made, again)
    return None


class AskAgain:
    """All ideas that are left, each with its choices and a button; as text, the questions alone."""

    def __init__(self, ideas: Sequence[OnceMore]) -> None:
        self.ideas = list(ideas)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.ideas)) or _NONE_LEFT

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        shown = note("note", repr(self).splitlines())
        if not self.ideas:
            return {"text/html": shown.html, "text/plain": repr(self)}
        box = widgets.VBox([idea.widget for idea in self.ideas])
        return {**box._repr_mimebundle_(**kwargs), "text/html": shown.html, "text/plain": repr(self)}


def ask_again() -> AskAgain:
    """Ask once more, with fresh numbers, every idea that you predicted wrong and that has not come back yet.

    For the end of the last lesson. Only the first answer to a prediction counts, once it was measured. What you answer
    here counts on the page of `labkit.progress()`.
    """
    ideas = [OnceMore(made, again) for made in _due(_AT_THE_END) if (again := _again(made)) is not None]
    for idea in ideas:
        note_shown(idea.name, _AT_THE_END)
    return AskAgain(ideas)


def _due(where: str) -> list[Predicted]:
    """Return the predictions that were wrong and may come back at this place, the oldest first."""
    return [
        made
        for _, made in sorted(predictions().items())
        if made.right is False and made.again_right is None and made.again_in in ("", where)
    ]


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
