# SPDX-License-Identifier: Apache-2.0
"""Lesson 05: probes that a program's author placed. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.usdt.live import live_code, semaphore, tell_apart
from labkit.lessons.usdt.others import gc_pauses, python_calls, python_probes, throw_mystery, throws
from labkit.lessons.usdt.overhead import cost
from labkit.lessons.usdt.panels import panel
from labkit.lessons.usdt.plots import plot
from labkit.lessons.usdt.requests import PROBES, find_slow, latency, measure, mystery, probes, read_a_note, readelf
from labkit.notebook.tables import compared_ns as compared

__all__ = [
    "PROBES",
    "compared",
    "cost",
    "find_slow",
    "gc_pauses",
    "latency",
    "live_code",
    "measure",
    "mystery",
    "panel",
    "plot",
    "probes",
    "python_calls",
    "python_probes",
    "read_a_note",
    "readelf",
    "semaphore",
    "tell_apart",
    "throw_mystery",
    "throws",
]
