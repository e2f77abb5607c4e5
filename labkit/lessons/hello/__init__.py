# SPDX-License-Identifier: Apache-2.0
"""Lesson 01: one event each time a process starts a program. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.hello.events import Life, find_suspect, life, measure, mystery, phases, say_hello
from labkit.lessons.hello.panels import panel
from labkit.lessons.hello.plots import plot

__all__ = [
    "Life",
    "find_suspect",
    "life",
    "measure",
    "mystery",
    "panel",
    "phases",
    "plot",
    "say_hello",
]
