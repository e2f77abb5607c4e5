# SPDX-License-Identifier: Apache-2.0
"""Commit to an answer before measuring: `guess = labkit.predict("How many?", ["0", "23", "46"])`.

A prediction that can be changed afterwards teaches nothing, so it closes when it is made. Without a browser it is the
question and its choices as text, and `against` shows the answer alone.

A prediction of a lesson has a name ("01-p2"). It is kept in the learner's own file, each wrong choice has its own
answer, and a missed idea comes back once in a later lesson.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from labkit.notebook.exercises import all_replies
from labkit.notebook.once_more import once_more
from labkit.notebook.predicted import note_measured, note_said, predictions
from labkit.notebook.render import Rendered, box, note

__all__ = ["Prediction", "predict"]


_NO_ANSWER = "What did you assume that is not so?"


def _sentence(text: str) -> str:
    return text if text.endswith("…") else f"{text}."


class Prediction:
    """A question with choices (or an empty line), open until the learner commits.

    `answer` is None before that. `against(truth)` says both side by side after the measurement.
    """

    def __init__(self, question: str, choices: Sequence[object] = (), name: str = "") -> None:
        self.question = question
        self.name = name
        self.choices = [str(choice) for choice in choices]
        self.answer: str | None = None
        self._entry = self._make_entry()
        self._button = widgets.Button(description="Commit", tooltip="Commit to this answer", button_style="primary")
        self._reply = widgets.HTML()
        self._button.on_click(self._commit)
        self._box = widgets.VBox(
            [
                widgets.HTML(f"<strong>Predict:</strong> {escape(question)}"),
                self._entry,
                widgets.HBox([self._button, self._reply]),
            ]
        )
        self._box.add_class("labkit-predict")
        before = predictions().get(name) if name else None
        if before is not None:
            self._reply.value = f"Your first answer was <strong>{escape(before.said)}</strong>; that one counts."
        self.again = once_more(name) if name else None
        if self.again is not None:
            self._box.children = (*self._box.children, self.again.widget)

    def _make_entry(self) -> Any:
        wide = widgets.Layout(width="auto", max_width="60em")
        if self.choices:
            return widgets.RadioButtons(options=self.choices, value=None, layout=wide)
        entry = widgets.Text(placeholder="your answer", layout=widgets.Layout(width="20em"))
        entry.continuous_update = False
        return entry

    def _commit(self, _: object) -> None:
        if self.answer is not None:
            return
        said = (self._entry.value or "").strip()
        if not said:
            self._reply.value = "Choose an answer first." if self.choices else "Write an answer first."
            return
        self.answer = said
        self._entry.disabled = self._button.disabled = True
        unkept = note_said(self.name, self.question, self.choices, said) if self.name else ""
        self._reply.value = f"You said <strong>{escape(said)}</strong>. Now measure. {escape(unkept)}"

    def against(self, truth: object) -> Rendered:
        """Return the prediction and what was measured, side by side."""
        measured = str(truth).strip()
        if self.answer is None:
            return note("note", [_sentence(f"Measured: {truth}")])
        is_right = self.answer.casefold() == measured.casefold()
        if self.name:
            note_measured(self.name, measured, is_right)
        if is_right:
            return note("ok", [_sentence(f"You said {self.answer}, and that is what was measured")])
        replies = all_replies().get(self.name)
        answer = replies.wrong.get(self.answer, "") if replies is not None else ""
        return note("note", [_sentence(f"You said {self.answer}; measured: {truth}"), answer or _NO_ANSWER])

    def __repr__(self) -> str:
        lines = [f"Predict: {self.question}", *(f"  ( ) {choice}" for choice in self.choices)]
        return "\n".join([*lines, repr(self.again)] if self.again is not None else lines)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        items = "".join(f"<li>{escape(choice)}</li>" for choice in self.choices)
        more = f"<p>{escape(repr(self.again))}</p>" if self.again is not None else ""
        asked = f"{escape(self.question)}{f'<ul>{items}</ul>' if items else ''}"
        html = box("note", f"<strong>Predict:</strong> {asked}{more}")
        return {**self._box._repr_mimebundle_(**kwargs), "text/html": html, "text/plain": repr(self)}


def predict(question: str, choices: Sequence[object] = (), *, name: str = "") -> Prediction:
    """Ask for a prediction; with no `choices` the learner writes one.

    Parameters
    ----------
    question, choices : what is asked, and the answers to choose from.
    name : of a prediction of a lesson ("01-p2"), which is kept; its replies are in the lesson's `questions.py`.

    Examples
    --------
    >>> guess = labkit.predict("How many does the probe count?", [0, 23, 46])
    >>> guess                          # in a cell of its own: shows the choices
    >>> guess.against(int(frame["count"].sum()))
    """
    return Prediction(question, choices, name)
