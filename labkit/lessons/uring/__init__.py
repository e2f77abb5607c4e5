# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: inside io_uring. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.uring.arms import summary
from labkit.lessons.uring.batches import BATCHES, measure
from labkit.lessons.uring.exercises import chains, desk, heads_and_tails, who_polls
from labkit.lessons.uring.operations import clocks, files, tour
from labkit.lessons.uring.panel_rings import player
from labkit.lessons.uring.panels import panel
from labkit.lessons.uring.plots import plot
from labkit.lessons.uring.polling import sqpoll, submitters
from labkit.lessons.uring.punting import workers
from labkit.lessons.uring.registration import REGISTERED, registered, savings
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
    "summary",
    "tour",
    "who_polls",
    "workers",
]
