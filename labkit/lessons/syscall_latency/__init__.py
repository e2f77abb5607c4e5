"""Lesson 06: the timer of system calls. What the notebook calls."""

from __future__ import annotations

from labkit.lessons._io.job import CACHES, OPERATIONS
from labkit.lessons.syscall_latency.cross_checks import cost, witnesses
from labkit.lessons.syscall_latency.latencies import heat_map, histogram, measure, mystery
from labkit.lessons.syscall_latency.panels import panel
from labkit.lessons.syscall_latency.plots import plot
from labkit.lessons.syscall_latency.stage_times import (
    STAGES,
    breakdown,
    cached,
    closure,
    slowest_stage,
    stages,
    suspects,
)
from labkit.stats.trial import added_ns as added

__all__ = [
    "CACHES",
    "OPERATIONS",
    "STAGES",
    "added",
    "breakdown",
    "cached",
    "closure",
    "cost",
    "heat_map",
    "histogram",
    "measure",
    "mystery",
    "panel",
    "plot",
    "slowest_stage",
    "stages",
    "suspects",
    "witnesses",
]
