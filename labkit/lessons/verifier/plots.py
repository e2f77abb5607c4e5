# SPDX-License-Identifier: Apache-2.0
"""Lesson 03: how far the verifier walks for a loop."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from labkit.bpf.verifier.explain import ACCEPTED
from labkit.notebook.plotting import style

__all__ = ["plot"]


def plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the instructions walked against the rounds of a loop; a rejected loop is a cross.

    The frame has `rounds`, `body`, `verdict` and `walked`, as `labkit.lessons.verifier.gallery.loops` returns it.
    """
    ax = style.axes(ax)
    for body, how in style.series(frame["body"]).items():
        rows = frame[frame["body"] == body].sort_values("rounds")
        accepted, refused = rows[rows["verdict"] == ACCEPTED], rows[rows["verdict"] != ACCEPTED]
        cross = {**how, "marker": "x", "linestyle": "none", "markersize": 9, "markeredgewidth": 2}
        for part, word, look in ((accepted, "accepted", how), (refused, "rejected", cross)):
            if len(part):
                ax.plot(part["rounds"], part["walked"], label=f"{body}: {word}", **look)
    style.axis(ax, "x", "rounds", log=10)
    style.axis(ax, "y", "walked", log=10)
    return style.finish(ax, frame, title="The verifier walks each round until it gives up")
