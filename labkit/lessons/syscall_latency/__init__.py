# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: the timer of system calls. What the notebook calls."""

from __future__ import annotations

from labkit.lessons._io.job import CACHES, OPERATIONS
from labkit.lessons.syscall_latency.exercises import cached, mystery, slowest_stage, suspects
from labkit.lessons.syscall_latency.io_stages import STAGES, breakdown, closure, middle_half, stages
from labkit.lessons.syscall_latency.latencies import disturbance, heat_map, histogram, measure
from labkit.lessons.syscall_latency.other_tools import witnesses
from labkit.lessons.syscall_latency.panels import panel
from labkit.lessons.syscall_latency.plots import plot
from labkit.lessons.syscall_latency.watching_cost import bystander, cost
from labkit.stats.trial import added_ns as added

__all__ = [
    "CACHES",
    "OPERATIONS",
    "STAGES",
    "added",
    "breakdown",
    "bystander",
    "cached",
    "closure",
    "cost",
    "disturbance",
    "heat_map",
    "histogram",
    "measure",
    "middle_half",
    "mystery",
    "panel",
    "plot",
    "slowest_stage",
    "stages",
    "suspects",
    "witnesses",
]
