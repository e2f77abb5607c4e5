# SPDX-License-Identifier: Apache-2.0
"""Lesson 11: serve many clients with threads, epoll and io_uring. What the notebook calls."""

from __future__ import annotations

from labkit.lessons.serve.exercises import count_by_calls, count_in_the_ring, how_many_connections, which_way
from labkit.lessons.serve.findings import compared, fastest, hidden, served
from labkit.lessons.serve.histograms import latencies, percentiles
from labkit.lessons.serve.open_loop import offered_load
from labkit.lessons.serve.others import wrk
from labkit.lessons.serve.panels import panel
from labkit.lessons.serve.plots import plot
from labkit.lessons.serve.rates import measure, medians, ratios
from labkit.lessons.serve.runs import CALLS, WAYS
from labkit.lessons.serve.sharing import herd, wakers
from labkit.lessons.serve.watched import calls, integrity, per_request

__all__ = [
    "CALLS",
    "WAYS",
    "calls",
    "compared",
    "count_by_calls",
    "count_in_the_ring",
    "fastest",
    "herd",
    "hidden",
    "how_many_connections",
    "integrity",
    "latencies",
    "measure",
    "medians",
    "offered_load",
    "panel",
    "per_request",
    "percentiles",
    "plot",
    "ratios",
    "served",
    "wakers",
    "which_way",
    "wrk",
]
