# SPDX-License-Identifier: Apache-2.0
"""Lesson 03: look at the programs of the gallery, and let loops grow until the verifier gives up."""

from __future__ import annotations

import pandas as pd

from labkit.errors import check_choice
from labkit.lessons.verifier import gallery
from labkit.lessons.verifier.plots import plot
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel

__all__ = ["panel"]

SUBJECTS = ("loops", "gallery")


def panel(subject: str = "loops") -> Panel:
    """Return a panel of lesson 03: "loops" or "gallery"."""
    check_choice("subject", subject, SUBJECTS)
    if subject == "gallery":
        return Panel(
            "The gallery",
            controls={
                "programs": controls.several("program", list(gallery.GALLERY), ["null_test"]),
                "versions": controls.several("version", list(gallery.VERSIONS), list(gallery.VERSIONS)),
            },
            measure=gallery.measure,
            finding=_verdicts,
        )
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


def _verdicts(frame: pd.DataFrame) -> str:
    refused = int((frame["verdict"] == "rejected").sum())
    return f"{refused} of {len(frame)} were rejected."


def _longest(frame: pd.DataFrame) -> str:
    said = []
    for body, rows in frame.groupby("body", sort=False):
        accepted = rows[rows["verdict"] == "accepted"]["rounds"]
        said.append(f"{body}: up to {accepted.max()} rounds accepted" if len(accepted) else f"{body}: none accepted")
    return f"{'; '.join(said)}."
