# SPDX-License-Identifier: Apache-2.0
"""Step through the verifier's log: the line of C, the instruction, and what was known of each register and stack slot.

All controls are buttons, a slider and a list, which the keyboard reaches; each step is also said in one sentence in a
live region, for a screen reader. Without a browser it is a table of the last steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets

from labkit.bpf.verifier.walk import Change, Moment, Walk, in_words, walk
from labkit.errors import LabkitError
from labkit.notebook.panel.controls import button
from labkit.notebook.panel.view import fitted
from labkit.notebook.render import CODE, TEXT, Rendered, escape, html_table

__all__ = ["Steps", "steps"]

_IN_TABLE = 24  # steps of the static table
_AROUND = 9  # lines of the source before and after the one shown
_SIDE = widgets.Layout(flex="1 1 28em", width="auto", min_width="20em")


def steps(log: str, lines: Mapping[int, int], source: str, *, accepted: bool = False) -> Steps:
    """Return the walk of a log to step through.

    Parameters
    ----------
    log : what the verifier printed.
    lines : instruction number -> line of `source`.
    source : the learner's C; its first line is line 1.
    accepted : the log is that of an accepted program.

    Raises
    ------
    LabkitError : the log has no instruction, because clang refused the program or because the log is cut.
    """
    walked = walk(log, lines, accepted=accepted)
    if not walked.moments:
        raise LabkitError(
            "There is no walk to show: the verifier saw no instruction of this program.",
            "read the message of the cell: the mistake was found before the verifier",
        )
    return Steps(walked, source)


class Steps:
    """The walk: `at` is the step that is shown, from 0; it begins at the last one.

    `slider`, `back`, `forward`, `first`, `last`, `name` and `origin` are its controls.
    """

    def __init__(self, walked: Walk, source: str) -> None:
        self.walk, self._source = walked, source.splitlines()
        count = len(walked.moments)
        self.slider = widgets.IntSlider(count, 1, count, description="Step", continuous_update=False)
        self.first = button("First", "fast-backward", lambda: self._go(1))
        self.back = button("Back", "step-backward", lambda: self._go(self.slider.value - 1))
        self.forward = button("Forward", "step-forward", lambda: self._go(self.slider.value + 1))
        self.last = button("Last", "fast-forward", lambda: self._go(count))
        self.name = widgets.Dropdown(description="Register", style={"description_width": "initial"})
        self.name.layout.width = "auto"
        self.origin = button("Where its value came from", "undo", self._to_origin)
        self._said, self._code, self._known = widgets.HTML(), widgets.HTML(layout=_SIDE), widgets.HTML(layout=_SIDE)
        self.slider.observe(lambda _: self._show(), "value")
        moves = widgets.HBox([self.first, self.back, self.forward, self.last, self.slider], layout=_wrapped())
        origin = widgets.HBox([self.name, self.origin], layout=_wrapped())
        sides = widgets.HBox([self._code, self._known], layout=_wrapped())
        self._box = widgets.VBox([moves, origin, self._said, sides])
        self._box.add_class("labkit-panel")
        self._show()

    @property
    def at(self) -> int:
        """The number of the step shown, from 0."""
        return int(self.slider.value) - 1

    @property
    def said(self) -> str:
        """The sentence that a screen reader gets."""
        here = self.walk.moments[self.at]
        line = f", line {here.line}" if here.line else ""
        head = f"Step {self.at + 1} of {len(self.walk.moments)}{line}: instruction {here.number} {here.does}."
        if self.at == len(self.walk.moments) - 1 and self.walk.said:
            return f"{head} Here the verifier stopped: {'; '.join(self.walk.said)}"
        changes = [str(one) for one in here.changes]
        return " ".join([head, *(f"{one}." for one in changes)]) if changes else f"{head} Nothing changes."

    def _go(self, step: int) -> None:
        self.slider.value = min(max(step, 1), len(self.walk.moments))

    def _to_origin(self) -> None:
        name = str(self.name.value)
        origin = self.walk.origin(self.at, name)
        if origin is None:
            self._say(f"{name} has its value from before the first step shown.")
        else:
            self._go(origin + 1)
            self._say(f"{name} got its value here. {self.said}")

    def _show(self) -> None:
        here = self.walk.moments[self.at]
        chosen = self.name.value
        names = list(self.walk.before(self.at))
        self.name.options = names or ["R0"]
        used = [each for each in _used(here) if each in names]
        self.name.value = chosen if chosen in (used or names) else [*used, *names, "R0"][0]
        self.back.disabled = self.first.disabled = self.at == 0
        self.forward.disabled = self.last.disabled = self.at == len(self.walk.moments) - 1
        self._say(self.said)
        self._code.value = fitted(self._lines(here))
        self._known.value = fitted(_registers(here))

    def _say(self, words: str) -> None:
        self._said.value = fitted(f'<p role="status" style="margin: 4px 0; {TEXT}">{escape(words)}</p>')

    def _lines(self, here: Moment) -> str:
        """Return the source around the line of a moment, which is marked."""
        begin = max(here.line - _AROUND, 1)
        shown = []
        for number in range(begin, min(here.line + _AROUND, len(self._source)) + 1):
            is_here = number == here.line
            text = escape(f"{'>' if is_here else ' '} {number:>3} | {self._source[number - 1]}")
            shown.append(f"<mark aria-current='step'>{text}</mark>" if is_here else text)
        text = "\n".join([*shown, "", escape(f"{here.number}: {here.text}")])
        return f'<pre tabindex="0" style="overflow-x: auto; margin: 0; {TEXT} {CODE}">{text}</pre>'

    @property
    def table(self) -> Rendered:
        """The last steps as a table."""
        moments = self.walk.moments[-_IN_TABLE:]
        first = len(self.walk.moments) - len(moments) + 1
        rows = [
            (str(first + at), str(each.line or ""), self._text(each.line), each.text, _changes(each))
            for at, each in enumerate(moments)
        ]
        if self.walk.said:
            rows[-1] = (*rows[-1][:4], f"refused: {'; '.join(self.walk.said)}")
        heads = ("step", "line", "your C", "instruction", "what it changes")
        told = f"The last {len(moments)} of {len(self.walk.moments) + self.walk.left_out} steps of the verifier"
        widths = [max(len(row[at]) for row in [heads, *rows]) for at in range(4)]
        laid = [
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
            for row in [heads, *rows]
        ]
        html = html_table(heads, [[escape(cell) for cell in row] for row in rows], caption=told)
        return Rendered("\n".join([told, *laid]), html)

    def _text(self, line: int) -> str:
        return self._source[line - 1].strip() if 0 < line <= len(self._source) else ""

    def __repr__(self) -> str:
        return self.table.text

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        shown = self.table
        return {**self._box._repr_mimebundle_(**kwargs), "text/html": shown.html, "text/plain": shown.text}


def _wrapped() -> widgets.Layout:
    return widgets.Layout(flex_flow="row wrap")


def _used(here: Moment) -> list[str]:
    """Return the registers that an instruction names, the last first: a pointer and an index come last."""
    return [f"R{number}" for number in reversed(re.findall(r"\b[rw](\d+)\b", here.text))]


def _changes(here: Moment) -> str:
    return "; ".join(str(one) for one in here.changes if one.after) or "nothing"


def _registers(here: Moment) -> str:
    """Return what is known after a moment, as a table; what changed has a word that says so."""
    changed: dict[str, Change] = {one.name: one for one in here.changes}
    lost = [one for one in here.changes if not one.after]
    rows = [
        [
            escape(name),
            f"{escape(in_words(name, known))}<br><code>{escape(known)}</code>",
            "changed" if name in changed else "",
        ]
        for name, known in here.state.items()
    ]
    rows += [[escape(one.name), "not known any more", "changed"] for one in lost]
    rows.sort(key=lambda row: (not row[0].startswith("R"), row[2] == ""))
    return html_table(["where", "what is known after this step", "this step"], rows)
