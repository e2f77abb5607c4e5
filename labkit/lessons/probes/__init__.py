# SPDX-License-Identifier: Apache-2.0
"""Lesson 04: one event seen by every mechanism that this kernel has. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.probes.functions import hidden, inlined, look, look_kernel
from labkit.lessons.probes.mechanisms import ENDS, MECHANISMS, added, cost, measure
from labkit.lessons.probes.pair import decorated, nap_mystery, timed
from labkit.lessons.probes.panels import panel
from labkit.lessons.probes.plots import plot
from labkit.lessons.probes.stacks import busy_fruit, flame, python_flame
from labkit.notebook.tables import compared_ns as compared

__all__ = [
    "ENDS",
    "MECHANISMS",
    "added",
    "busy_fruit",
    "compared",
    "cost",
    "decorated",
    "flame",
    "hidden",
    "inlined",
    "look",
    "look_kernel",
    "measure",
    "nap_mystery",
    "panel",
    "plot",
    "python_flame",
    "timed",
]
