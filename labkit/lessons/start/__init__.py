# SPDX-License-Identifier: Apache-2.0
"""Lesson 00: a notebook that times its own reads. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.start.panels import panel
from labkit.lessons.start.plots import plot
from labkit.lessons.start.reads import measure, mystery

__all__ = [
    "measure",
    "mystery",
    "panel",
    "plot",
]
