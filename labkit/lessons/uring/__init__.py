# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: inside io_uring. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.uring.exercises import chains, desk, heads_and_tails, who_polls
from labkit.lessons.uring.modes import BATCHES, REGISTERED, measure, registered, savings, sqpoll, submitters, workers
from labkit.lessons.uring.other_io import clocks, files, tour
from labkit.lessons.uring.panel_rings import player
from labkit.lessons.uring.panels import panel
from labkit.lessons.uring.plots import plot
from labkit.lessons.uring.rings import readers, steps

__all__ = [
    "BATCHES",
    "REGISTERED",
    "chains",
    "clocks",
    "desk",
    "files",
    "heads_and_tails",
    "measure",
    "panel",
    "player",
    "plot",
    "readers",
    "registered",
    "savings",
    "sqpoll",
    "steps",
    "submitters",
    "tour",
    "who_polls",
    "workers",
]
