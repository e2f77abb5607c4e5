"""Lesson 02: what a BPF program remembers, and how it goes wrong. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.maps.buffers import CHANNELS, channels, order
from labkit.lessons.maps.counts import (
    WAYS,
    forgotten_test,
    full,
    hidden_size,
    measure,
    pairs,
    per_cpu,
    sizes,
    slow_thread,
    too_many_sizes,
)
from labkit.lessons.maps.panels import panel
from labkit.lessons.maps.plots import plot
from labkit.stats.trial import added_ns as costs

__all__ = [
    "CHANNELS",
    "WAYS",
    "channels",
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
