# SPDX-License-Identifier: Apache-2.0
"""Lesson 05: choose how many requests, how long each takes, and which probes to listen to."""

from __future__ import annotations

import pandas as pd

from labkit import schema
from labkit.lessons.usdt import requests
from labkit.lessons.usdt.live import MOST_REQUESTS
from labkit.lessons.usdt.plots import plot
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel
from labkit.notebook.tables import listing

__all__ = ["panel"]


def panel() -> Panel:
    """Return the panel of lesson 05."""
    work_ns = [0, 5_000, 20_000, 100_000, 1_000_000, 10_000_000]
    names = list(requests.PROBES)
    return Panel(
        "Listen to probes",
        controls={
            "requests": controls.whole("requests", 101, 1, MOST_REQUESTS, label="requests"),
            "work_ns": controls.choose("latency_ns", work_ns, 20_000, label="work of each"),
            "probes": controls.several("probe", names, ["request_start", "request_done"], label="probes"),
        },
        measure=requests.measure,
        plot=plot,
        finding=finding,
    )


def finding(frame: pd.DataFrame) -> str:
    """Return what the frame shows, in one sentence."""
    heard = frame["probe"].value_counts()
    fired = frame.groupby("probe")["fired"].first()
    names = [name for name in requests.PROBES if name in heard]
    counts = listing(f"{name} {heard[name]} times (the program: {fired[name]})" for name in names)
    done = frame[frame["probe"] == "request_done"]
    if done.empty:
        return f"eBPF saw {counts}. To see latencies, choose request_done as well."
    return f"eBPF saw {counts}. The median latency of a request is {schema.si_ns(done['latency_ns'].median())}."
