# SPDX-License-Identifier: Apache-2.0
"""A panel's plot to zoom in and to read values from, by ipympl; where that is not installed, the picture alone.

The picture stays on the page: print, export and screen readers get it. It is hidden on the screen only while a canvas
is there to look at (`STYLE`).
"""

from __future__ import annotations

import threading
from importlib.util import find_spec
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from labkit.notebook.plotting import style
from labkit.notebook.render import TEXT

__all__ = ["DRAWING", "STYLE", "Zoom", "available"]

# matplotlib's text layout keeps caches that two threads must not fill at once
DRAWING = threading.RLock()

STYLE = """
@media screen { .labkit-panel:has(.jupyter-matplotlib-canvas-container canvas) .labkit-plot { display: none; } }
@media print { .labkit-zoom { display: none !important; } }
[data-jp-theme-light="false"] .labkit-zoom canvas { filter: invert(0.93) hue-rotate(180deg); }
"""
HELP = "Drag over a part to enlarge it. Below the plot are the values under the pointer. Home shows the whole plot."


def available() -> bool:
    """Return whether ipympl is installed."""
    return find_spec("ipympl") is not None


class Zoom:
    """A place for one figure that can be zoomed.

    Attributes
    ----------
    box : the widget to lay out; empty until `show`.
    """

    def __init__(self) -> None:
        self.box = widgets.VBox(layout=widgets.Layout(max_width="100%", overflow="auto"))
        self.box.add_class("labkit-zoom")
        self._help = widgets.HTML(f'<span style="{TEXT}">{HELP}</span>')
        self._parts: list[widgets.Widget] = []

    @property
    def is_open(self) -> bool:
        """Whether a figure is shown."""
        return bool(self._parts)

    def show(self, drawn: Figure) -> None:
        """Show `drawn` in the place of the figure before; a drag with the mouse enlarges from the start."""
        self.close()
        with DRAWING:
            style.prepare(drawn)
            canvas = _canvas(drawn)
        holder = widgets.Box([canvas])  # ipympl 0.10's view stays in the page when it is removed; its box does not
        self._parts = [holder, holder.layout, canvas, canvas.layout, canvas.toolbar, canvas.toolbar.layout]
        self.box.children = [self._help, holder]

    def close(self) -> None:
        """Take the figure off the page and forget it."""
        self.box.children = []
        for part in self._parts:
            part.close()
        self._parts = []


def _canvas(drawn: Figure) -> Any:
    """Return a canvas that belongs to no window of pyplot's, so that nothing keeps it when it is closed."""
    from ipympl.backend_nbagg import Canvas, FigureManager  # half a second, and most panels are never zoomed

    class Locked(Canvas):  # type: ignore[misc]
        """Draws in the kernel's main thread, while a panel may draw in another."""

        def draw(self) -> None:
            with DRAWING:
                super().draw()

    canvas = Locked(drawn)
    canvas.manager = FigureManager(canvas, 0)
    canvas.header_visible, canvas.resizable, canvas.toolbar_visible = False, False, True
    canvas.toolbar_position = "top"
    canvas.toolbar.zoom()
    return canvas
