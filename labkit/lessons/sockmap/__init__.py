# SPDX-License-Identifier: Apache-2.0
"""Lesson 09: a shortcut for local sockets. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.sockmap.comparison import integrity, measure, medians, proof, ratios, throughput
from labkit.lessons.sockmap.exercises import how_many_round_trips, how_much_room, which_run_is_odd
from labkit.lessons.sockmap.findings import speeds, work
from labkit.lessons.sockmap.panels import panel
from labkit.lessons.sockmap.plots import plot, plot_path
from labkit.lessons.sockmap.servers import measure as redis
from labkit.lessons.sockmap.slices import ARMS, SHORTCUT, TCP, UNIX
from labkit.running.pinning import CROSS, PINNINGS, SAME

__all__ = [
    "ARMS",
    "CROSS",
    "PINNINGS",
    "SAME",
    "SHORTCUT",
    "TCP",
    "UNIX",
    "how_many_round_trips",
    "how_much_room",
    "integrity",
    "measure",
    "medians",
    "panel",
    "plot",
    "plot_path",
    "proof",
    "ratios",
    "redis",
    "speeds",
    "throughput",
    "which_run_is_odd",
    "work",
]
