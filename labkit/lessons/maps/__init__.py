# SPDX-License-Identifier: Apache-2.0
"""Lesson 02: what a BPF program remembers, and how it goes wrong. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.maps.bars import hidden_size, sizes
from labkit.lessons.maps.buffers import CHANNELS, channels, order
from labkit.lessons.maps.lost_updates import WAYS, forgotten_test, measure, per_cpu
from labkit.lessons.maps.panels import panel
from labkit.lessons.maps.plots import plot
from labkit.lessons.maps.room import full, too_many_sizes
from labkit.lessons.maps.two_ends import pairs, slow_thread
from labkit.notebook.tables import compared_ns as compared
from labkit.stats.trial import added_ns as costs

__all__ = [
    "CHANNELS",
    "WAYS",
    "channels",
    "compared",
    "costs",
    "forgotten_test",
    "full",
    "hidden_size",
    "measure",
    "order",
    "pairs",
    "panel",
    "per_cpu",
    "plot",
    "sizes",
    "slow_thread",
    "too_many_sizes",
]
