# SPDX-License-Identifier: Apache-2.0
"""Commit to an answer before measuring: `guess = labkit.predict("How many?", ["0", "23", "46"])`.

A prediction that can be changed afterwards teaches nothing, so it closes when it is made. Without a browser it is the
question and its choices as text, and `against` shows the answer alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from labkit.notebook.render import Rendered, box, note

__all__ = ["Prediction", "predict"]


class Prediction:
    """A question with choices (or an empty line), open until the learner commits.

    `answer` is None before that. `against(truth)` says both side by side after the measurement.
    """

    def __init__(self, question: str, choices: Sequence[object] = ()) -> None:
        self.question = question
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
        self._reply.value = f"You said <strong>{escape(said)}</strong>. Now measure."

    def against(self, truth: object) -> Rendered:
        """Return the prediction and what was measured, side by side."""
        if self.answer is None:
            return note("note", [f"Measured: {truth}."])
        if self.answer.casefold() == str(truth).strip().casefold():
            return note("ok", [f"You said {self.answer}, and {truth} it is."])
        return note("note", [f"You said {self.answer}; measured: {truth}.", "What did you assume that is not so?"])

    def __repr__(self) -> str:
        return "\n".join([f"Predict: {self.question}", *(f"  ( ) {choice}" for choice in self.choices)])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        items = "".join(f"<li>{escape(choice)}</li>" for choice in self.choices)
        html = box("note", f"<strong>Predict:</strong> {escape(self.question)}{f'<ul>{items}</ul>' if items else ''}")
        return {**self._box._repr_mimebundle_(**kwargs), "text/html": html, "text/plain": repr(self)}


def predict(question: str, choices: Sequence[object] = ()) -> Prediction:
    """Ask for a prediction; with no `choices` the learner writes one.

    Examples
    --------
    >>> guess = labkit.predict("How many does the probe count?", [0, 23, 46])
    >>> guess                          # in a cell of its own: shows the choices
    >>> guess.against(int(frame["count"].sum()))
    """
    return Prediction(question, choices)
