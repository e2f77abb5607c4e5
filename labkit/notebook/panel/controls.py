# SPDX-License-Identifier: Apache-2.0
"""Labelled controls for panels; their labels and the way they write values come from the schema.

All of them work with the keyboard alone. Nothing runs when they change: the panel reads them when Run is pressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from labkit import schema

__all__ = ["choose", "real", "several", "switch", "text", "whole", "words"]

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


def several(column: str, options: Sequence[Any], value: Sequence[Any], *, label: str = "") -> widgets.SelectMultiple:
    """Return a list to choose several of `options` from (with Ctrl or Shift held)."""
    return widgets.SelectMultiple(
        options=_written(column, options),
        value=tuple(value),
        rows=min(len(options), 6),
        description=label or schema.label(column),
        tooltip="Hold Ctrl or Shift to choose several",
        style=_LABEL,
        layout=_layout(),
    )


def whole(column: str, value: int, low: int, high: int, *, step: int = 1, label: str = "") -> widgets.BoundedIntText:
    """Return a field for a whole number from `low` to `high`."""
    return widgets.BoundedIntText(
        value=value,
        min=low,
        max=high,
        step=step,
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
        step=(high - low) / 100,
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


def words(control: Any) -> str:
    """Return a control as text: its label, its choices, and the value it has."""
    options = [label for label, _ in getattr(control, "_options_full", ())]
    chosen = control.label if hasattr(control, "label") else control.value
    value = ", ".join(chosen) if isinstance(chosen, tuple) else str(chosen)
    return f"{control.description}: {value}" + (f" (of {', '.join(options)})" if options else "")


def _written(column: str, options: Sequence[Any]) -> list[tuple[str, Any]]:
    write = schema.formatter(column)
    return [(str(write(option)), option) for option in options]
