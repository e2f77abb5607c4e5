# SPDX-License-Identifier: Apache-2.0
"""Lesson 03: a program with one mistake to look at, predict, and repair; the verifier judges it."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from labkit.bpf.text import BPF_FOLDER
from labkit.bpf.verifier.explain import ACCEPTED, Verdict
from labkit.errors import LabkitError, check_choice
from labkit.lessons.verifier.gallery import GALLERY, judge_file
from labkit.notebook.panel.view import failure, fitted
from labkit.notebook.render import note
from labkit.notebook.verdict_box import verdict_box

__all__ = ["TO_REPAIR", "Workshop", "exercise_text", "workshop"]

# the lesson shows the others in full
TO_REPAIR = (
    "past_value",
    "pointer_too_far",
    "no_result",
    "large_stack",
    "used_after_submit",
    "foreign_address",
    "context_written",
    "wrong_helper",
    "no_licence",
    "never_set",
)
_YOURS = "repair the source above, or press Show the fix"
CAUSES = sorted({exhibit.cause for exhibit in GALLERY.values()})
_BRANCH = re.compile(r"^#ifdef FIXED\n(.*?)(?:^#else\n(.*?))?^#endif\n", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/\n?", re.DOTALL)


def exercise_text(program: str, *, fixed: bool = False) -> str:
    """Return the C of a program of the gallery without its comments: with its mistake, or with its fix."""
    text = (BPF_FOLDER / "verifier" / f"{check_choice('program', program, GALLERY)}.c").read_text(encoding="utf-8")
    chosen = _BRANCH.sub(lambda found: (found[1] if fixed else found[2]) or "", text)
    return _COMMENT.sub("", chosen)


class Workshop:
    """The panel: choose a program, predict the cause, ask the verifier, repair the source, ask again.

    `program`, `cause`, `source`, `ask`, `fix` and `again` are its controls; `verdict` is the last verdict, or None.
    """

    def __init__(self) -> None:
        wide = widgets.Layout(width="auto", max_width="60em")
        self.program = widgets.Dropdown(options=TO_REPAIR, description="program")
        self.cause = widgets.RadioButtons(options=CAUSES, value=None, layout=wide)
        self.cause.description = "cause"
        self.source = widgets.Textarea(layout=widgets.Layout(width="auto", max_width="60em"), rows=22)
        self.source.continuous_update = False
        self.source.description = "source"
        self.ask = widgets.Button(description="Ask the verifier", button_style="primary")
        self.fix = widgets.Button(description="Show the fix")
        self.again = widgets.Button(description="Start again")
        self.verdict: Verdict | None = None
        self.repaired: set[str] = set()
        self._result = widgets.HTML()
        self.program.observe(self._begin, "value")
        self.ask.on_click(self._judge)
        self.fix.on_click(self._show_fix)
        self.again.on_click(self._begin)
        buttons = widgets.HBox([self.ask, self.fix, self.again])
        self._box = widgets.VBox([self.program, self.source, self.cause, buttons, self._result])
        self._box.add_class("labkit-panel")
        self._begin()

    def _begin(self, _: object = None) -> None:
        self.source.value = exercise_text(self.program.value)
        self.cause.value, self.verdict, self._result.value = None, None, ""

    def _show_fix(self, _: object = None) -> None:
        self.source.value = exercise_text(self.program.value, fixed=True)

    def _judge(self, _: object = None) -> None:
        name = str(self.program.value)
        with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
            file = Path(folder) / f"{name}.c"
            file.write_text(self.source.value, encoding="utf-8")
            try:
                self.verdict = judge_file(file, trusted=GALLERY[name].trusted)
            except LabkitError as error:
                self.verdict, self._result.value = None, fitted(failure(error))
                return
        shown = verdict_box(_without_its_fix(self.verdict)).html
        self._result.value = fitted(self._answer(name, self.verdict) + shown)

    def _answer(self, name: str, verdict: Verdict) -> str:
        if verdict.kind == ACCEPTED:
            self.repaired.add(name)
            return note("ok", [f"{len(self.repaired)} of {len(TO_REPAIR)} programs repaired."]).html
        said = self.cause.value
        if said is None:
            return note("note", [f"The cause is: {verdict.kind}. Predict the cause of the next one first."]).html
        if said == verdict.kind:
            return note("ok", [f"You predicted {said}, and the verifier agrees."]).html
        return note("note", [f"You predicted {said}. The cause is: {verdict.kind}."]).html

    def __repr__(self) -> str:
        return "\n".join(["Predict the cause and repair the program, in JupyterLab:", "", self.source.value])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        text = "A panel to predict and repair programs. If you cannot use it, run this cell again in JupyterLab."
        return {
            **self._box._repr_mimebundle_(**kwargs),
            "text/html": note("note", [text]).html,
            "text/plain": repr(self),
        }


def _without_its_fix(verdict: Verdict) -> Verdict:
    """Return a verdict that leaves the repair to the learner."""
    detail = verdict.detail.partition("\nVerified:")[0]
    return dataclasses.replace(verdict, fix=_YOURS, detail=detail, verified=False)


def workshop() -> Workshop:
    """Return the panel with the programs that the lesson does not show in full."""
    return Workshop()
