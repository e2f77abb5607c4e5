"""Lesson 07: three ways to read: sync, libaio, io_uring. What the notebook calls."""

from __future__ import annotations

from labkit.lessons._io.job import CACHES, ENGINES, OPERATIONS, ORDERS
from labkit.lessons.io_engines.comparison import measure
from labkit.lessons.io_engines.costs import calls, content, in_memory, lanes, overlap
from labkit.lessons.io_engines.exercises import deep, law, parcels, who_blocks
from labkit.lessons.io_engines.panels import panel
from labkit.lessons.io_engines.plots import plot
from labkit.lessons.io_engines.watched import CALLS

__all__ = [
    "CACHES",
    "CALLS",
    "ENGINES",
    "OPERATIONS",
    "ORDERS",
    "calls",
    "content",
    "deep",
    "in_memory",
    "lanes",
    "law",
    "measure",
    "overlap",
    "panel",
    "parcels",
    "plot",
    "who_blocks",
]
