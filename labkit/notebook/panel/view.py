# SPDX-License-Identifier: Apache-2.0
"""What a panel shows: the picture, an error with its fix, the time left."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from html import escape
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from labkit.errors import LabkitError
from labkit.notebook.panel import zoom
from labkit.notebook.panel.zoom import DRAWING
from labkit.notebook.plotting import style
from labkit.notebook.render import CODE, TEXT, box, note

__all__ = ["STYLE", "failure", "figure", "fitted", "newest_first", "picture", "png", "status", "stopped", "time_left"]

# the arrow of a list is black in every theme of ipywidgets
_LIGHT_ARROW = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E"
    "%3Cpath fill='%23ddd' d='M5.2 5.9 9 9.7l3.8-3.8 1.2 1.2L9 12.2 4 7.1z'/%3E%3C/svg%3E"
)
# What belongs to the run before is pale while another one runs. The class "disconnected" is ipywidgets' own.
STYLE = f"""<style>{zoom.STYLE}
.labkit-stale {{ opacity: 0.4; }}
.labkit-panel .widget-text {{ flex-wrap: wrap; height: auto; }}
.labkit-panel .widget-label-basic {{ display: flex; align-items: center; line-height: 28px; }}
.labkit-panel .widget-label-basic input {{ margin: 0 8px 0 0; }}
[data-jp-theme-light="false"] .labkit-panel {{ --jp-widgets-dropdown-arrow: url("{_LIGHT_ARROW}"); }}
.labkit-panel.jupyter-widgets-disconnected::before {{
  content: "The kernel of this panel has ended: run the cell again."; font: bold 14px/2 sans-serif;
}}
</style>"""


def picture(plot: Callable[..., Any], frame: pd.DataFrame, described: str) -> str:
    """Return a plot as an image in HTML, sharp at twice its size, with `described` for readers who cannot see it."""
    with DRAWING:
        return style.image(figure(plot, frame), described)


def png(plot: Callable[..., Any], frame: pd.DataFrame) -> bytes:
    """Return a plot as the content of a PNG file."""
    with DRAWING:
        return style.png(figure(plot, frame))


def figure(plot: Callable[..., Any], frame: pd.DataFrame) -> Figure:
    """Return a plot as a figure of its own."""
    drawn = style.figure()
    plot(frame, ax=drawn.subplots())
    return drawn


def newest_first(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with the rows of its newest run before those of older ones."""
    return frame.sort_values("run", ascending=False, kind="stable") if "run" in frame else frame


def fitted(html: str) -> str:
    """Return `html` in a box as wide as the panel: a wide table scrolls in its own box, and sentences wrap.

    The content of an HTML widget is a flex item, which by itself becomes as wide as the widest thing in it.
    """
    return f'<div style="width: 0; min-width: 100%; line-height: 1.5; overflow-wrap: break-word;">{html}</div>'


def failure(error: BaseException) -> str:
    """Return an error in HTML: what failed, how to fix it, and the evidence in a fold; never a bare stack trace."""
    if isinstance(error, LabkitError):
        lines = [error.what, f"Fix: {error.fix}"]
        evidence = error.detail
    else:
        lines = [
            f"An unexpected error: {type(error).__name__}: {error}",
            "Fix: press Run again; if it happens again, run `labkit doctor` and report it with the details below",
        ]
        evidence = "".join(traceback.format_exception(error))
    shown = f'<pre tabindex="0" style="overflow-x: auto; {CODE}">{escape(evidence)}</pre>'
    fold = f"<details><summary>Details</summary>{shown}</details>" if evidence else ""
    return f'<div role="alert">{note("error", lines).html}{box("error", fold) if fold else ""}</div>'


def status(words: str) -> str:
    """Return one line that a screen reader says when it changes."""
    return f'<span role="status" style="{TEXT}">{escape(words)}</span>'


def stopped() -> str:
    """Return what is shown after Stop."""
    return note("note", ["Stopped. Nothing was kept of this run.", "Press Run to measure again."]).html


def time_left(left_s: float | None) -> str:
    """Return the time left in words: 'about 12 s left'."""
    if left_s is None:
        return ""
    if left_s < 1:
        return "less than 1 s left"
    return f"about {left_s:.0f} s left" if left_s < 90 else f"about {left_s / 60:.0f} min left"
