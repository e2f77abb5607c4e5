# SPDX-License-Identifier: Apache-2.0
"""Lesson 01: run a program some times and see each start."""

from __future__ import annotations

import pandas as pd

from labkit.lessons.hello import events
from labkit.lessons.hello.plots import plot
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel

__all__ = ["panel"]


def panel() -> Panel:
    """Return the panel of lesson 01."""
    return Panel(
        "Hello, eBPF",
        controls={
            "runs": controls.whole("runs", 23, 1, 10_000),
            "interval_us": controls.choose(
                "interval_us", [0, 1000, 10_000, 100_000], 10_000, label="rest between starts (µs)"
            ),
        },
        measure=events.measure,
        plot=plot,
        finding=_finding,
    )


def _finding(frame: pd.DataFrame) -> str:
    if frame.empty:
        return "eBPF saw no start: look at the lost events below."
    seen, did = len(frame), frame["runs"].iloc[0]
    same = "the same number" if seen == did else "another number: look at the lost events below"
    return f"The workload started a program {did} times; eBPF saw {seen} starts, {same}."
