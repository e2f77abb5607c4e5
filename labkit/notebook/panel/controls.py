# SPDX-License-Identifier: Apache-2.0
"""Labelled controls for panels; their labels and the way they write values come from the schema.

All of them work with the keyboard alone. Nothing runs when they change: the panel reads them when Run is pressed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets
import traitlets

from labkit import schema
from labkit.notebook.render import TEXT

__all__ = ["Several", "button", "choose", "real", "several", "switch", "text", "whole", "words"]

_LABEL = {"description_width": "initial"}  # as wide as its words, so that none is cut


def _layout(width: str = "auto") -> widgets.Layout:
    return widgets.Layout(width=width, max_width="100%", margin="2px 20px 2px 2px")


def choose(column: str, options: Sequence[Any], value: Any = None, *, label: str = "") -> widgets.Dropdown:
    """Return a list to choose one of `options` from."""
    return widgets.Dropdown(
        options=_written(column, options),
        value=options[0] if value is None else value,
        description=label or schema.label(column),
        style=_LABEL,
        layout=_layout(),
    )


class Several(widgets.HBox):  # type: ignore[misc]
    """Check boxes next to their label, of which any number may be ticked.

    Attributes
    ----------
    value : the tuple of the options that are ticked, in their order; another option is a ValueError.
    disabled : whether none can be changed.
    description : the label.
    options : pairs of text and option.
    boxes : one check box per option.
    """

    disabled = traitlets.Bool(False)

    def __init__(self, label: str, options: Sequence[tuple[str, Any]], value: Sequence[Any]) -> None:
        self.description, self.options = label, tuple(options)
        narrow = widgets.Layout(width="auto", margin="2px 10px 2px 0")
        self.boxes = [widgets.Checkbox(description=text, indent=False, layout=narrow) for text, _ in options]
        for box in self.boxes:
            box.tooltip = f"{label}: {box.description}"
        head = widgets.HTML(
            f'<span style="{TEXT}">{escape(label)}</span>', layout=widgets.Layout(margin="2px 8px 2px 0")
        )
        wrap = widgets.Layout(flex_flow="row wrap", max_width="100%", margin="2px 20px 2px 2px")
        super().__init__([head, *self.boxes], layout=wrap)
        self.add_class("labkit-several")
        self.value = tuple(value)

    @property
    def value(self) -> tuple[Any, ...]:
        """What is ticked: the boxes themselves are the only place where it is kept."""
        return tuple(option for box, (_, option) in zip(self.boxes, self.options, strict=True) if box.value)

    @value.setter
    def value(self, wanted: Sequence[Any]) -> None:
        known = [option for _, option in self.options]
        unknown = [option for option in wanted if option not in known]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not one of {self.description}: {known}")
        for box, option in zip(self.boxes, known, strict=True):
            box.value = option in wanted

    @traitlets.observe("disabled")  # type: ignore[untyped-decorator]
    def _close(self, change: Any) -> None:
        for box in self.boxes:
            box.disabled = self.disabled


def several(column: str, options: Sequence[Any], value: Sequence[Any], *, label: str = "") -> Several:
    """Return check boxes to choose several of `options` with."""
    return Several(label or schema.label(column), _written(column, options), value)


def whole(column: str, value: int, low: int, high: int, *, label: str = "") -> widgets.BoundedIntText:
    """Return a field for a whole number from `low` to `high`."""
    return widgets.BoundedIntText(
        value=value,
        min=low,
        max=high,
        description=label or schema.label(column),
        tooltip=f"{low} to {high}",
        style=_LABEL,
        layout=_layout(),
    )


def real(column: str, value: float, low: float, high: float, *, label: str = "") -> widgets.BoundedFloatText:
    """Return a field for a number from `low` to `high`."""
    return widgets.BoundedFloatText(
        value=value,
        min=low,
        max=high,
        step=low or 10.0 ** math.floor(math.log10((high - low) / 100)),
        description=label or schema.label(column),
        tooltip=f"{low:g} to {high:g}",
        style=_LABEL,
        layout=_layout(),
    )


def text(label: str, value: str = "") -> widgets.Text:
    """Return a line to write in."""
    return widgets.Text(value=value, description=label, style=_LABEL, layout=_layout("28em"))


def switch(label: str, value: bool = False) -> widgets.Checkbox:
    """Return a box to tick."""
    return widgets.Checkbox(value=value, description=label, indent=False, layout=_layout())


def button(
    label: str, icon: str, press: Callable[[], object], tooltip: str | None = None, **more: Any
) -> widgets.Button:
    """Return a button that calls `press`; `more` are other traits of the widget."""
    width = widgets.Layout(width="auto")
    made = widgets.Button(description=label, icon=icon, tooltip=tooltip, layout=width, **more)
    made.on_click(lambda _: press())
    return made


def words(control: Any) -> str:
    """Return a control as text: its label, its choices, and the value it has."""
    if isinstance(control, Several):
        options = [label for label, _ in control.options]
        chosen: Any = tuple(label for label, option in control.options if option in control.value)
    else:
        options = [label for label, _ in getattr(control, "_options_full", ())]
        chosen = control.label if hasattr(control, "label") else control.value
    value = ", ".join(chosen) if isinstance(chosen, tuple) else str(chosen)
    return f"{control.description}: {value}" + (f" (of {', '.join(options)})" if options else "")


def _written(column: str, options: Sequence[Any]) -> list[tuple[str, Any]]:
    write = schema.formatter(column)
    return [(str(write(option)), option) for option in options]
