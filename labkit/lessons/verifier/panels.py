# SPDX-License-Identifier: Apache-2.0
"""Lesson 03: let loops grow until the verifier gives up."""

from __future__ import annotations

import pandas as pd

from labkit.lessons.verifier import gallery
from labkit.lessons.verifier.plots import plot
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel

__all__ = ["panel"]


def panel() -> Panel:
    """Return the panel of lesson 03: loops of the lengths that the learner chooses."""
    rounds = [10, 100, 1000, 2000, 5000, 8000, 9000, 10_000, 50_000, 90_000, 100_000, 1_000_000]
    return Panel(
        "Loops",
        controls={
            "rounds": controls.several("rounds", rounds, [10, 1000, 10_000, 100_000]),
            "bodies": controls.several("body", list(gallery.BODIES), list(gallery.BODIES)),
        },
        measure=gallery.loops,
        plot=plot,
        finding=_longest,
    )


def _longest(frame: pd.DataFrame) -> str:
    said = []
    for body, rows in frame.groupby("body", sort=False):
        accepted = rows[rows["verdict"] == "accepted"]["rounds"]
        said.append(f"{body}: up to {accepted.max()} rounds accepted" if len(accepted) else f"{body}: none accepted")
    return f"{'; '.join(said)}."
