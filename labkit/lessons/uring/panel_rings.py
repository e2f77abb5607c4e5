# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: the rings of a recorded run, step by step: play it, or move to any step."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets
import pandas as pd

from labkit.errors import bad_argument
from labkit.lessons.uring.plot_rings import legend, moments, picture, pictures, ring_sizes

__all__ = ["RingPlayer", "player"]

STEP_MS = 900


def player(frame: pd.DataFrame) -> RingPlayer:
    """Return a player for a frame of `uring.steps`."""
    if (
        not {"sq_head", "sq_tail", "cq_head", "cq_tail", "action", "sq_entries", "cq_entries"} <= set(frame.columns)
        or frame.empty
    ):
        raise bad_argument("frame", type(frame).__name__, "what uring.steps() returns")
    return RingPlayer(frame)


class RingPlayer:
    """Heads and tails that move. Without a browser it shows a few of the moments, one below the other.

    Attributes
    ----------
    step : the slider; its value is the step that is drawn.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._moments = moments(frame)
        last = len(self._moments) - 1
        self._play = widgets.Play(min=0, max=last, interval=STEP_MS, tooltip="Play the steps")
        self.step = widgets.IntSlider(min=0, max=last, description="step", layout=widgets.Layout(width="24em"))
        widgets.jslink((self._play, "value"), (self.step, "value"))
        self._drawing = widgets.HTML()
        self.step.observe(lambda _: self._draw(), names="value")
        self._draw()
        self._box = widgets.VBox(
            [widgets.HBox([self._play, self.step]), widgets.HTML(legend()), self._drawing],
            layout=widgets.Layout(border="1px solid var(--jp-border-color1, #bbb)", padding="8px 12px"),
        )
        self._box.add_class("labkit-rings")

    @property
    def drawing(self) -> str:
        """What is shown now: SVG, and its words."""
        return str(self._drawing.value)

    def _draw(self) -> None:
        self._drawing.value = picture(self._moments[self.step.value], *ring_sizes(self._frame))

    def __repr__(self) -> str:
        return "\n".join(f"Step {each.step}, {each.action}: {each.words}" for each in self._moments)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return {**self._box._repr_mimebundle_(**kwargs), "text/html": pictures(self._frame), "text/plain": repr(self)}
