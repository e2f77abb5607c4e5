# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: ways to read: sync, a thread pool, libaio, io_uring. What the notebook calls."""

from __future__ import annotations

from labkit.lessons._io.job import ALL_ENGINES, CACHES, ENGINES, OPERATIONS, ORDERS
from labkit.lessons.io_engines.blocking import calls, in_memory
from labkit.lessons.io_engines.contents import content
from labkit.lessons.io_engines.durability import durable
from labkit.lessons.io_engines.exercises import batches, deep, law, who_blocks
from labkit.lessons.io_engines.findings import growth, rivals
from labkit.lessons.io_engines.open_loop import offered_load
from labkit.lessons.io_engines.panels import panel
from labkit.lessons.io_engines.plots import plot
from labkit.lessons.io_engines.probe_cost import watched_ratios, watching_cost
from labkit.lessons.io_engines.rates import file_sizes, measure
from labkit.lessons.io_engines.runs import CALLS
from labkit.lessons.io_engines.timelines import lanes, overlap

__all__ = [
    "ALL_ENGINES",
    "CACHES",
    "CALLS",
    "ENGINES",
    "OPERATIONS",
    "ORDERS",
    "batches",
    "calls",
    "content",
    "deep",
    "durable",
    "file_sizes",
    "growth",
    "in_memory",
    "lanes",
    "law",
    "measure",
    "offered_load",
    "overlap",
    "panel",
    "plot",
    "rivals",
    "watched_ratios",
    "watching_cost",
    "who_blocks",
]
