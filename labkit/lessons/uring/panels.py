# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: batches, who submits, what is registered, and the block size, against calls and CPU time."""

from __future__ import annotations

import pandas as pd

from labkit import schema
from labkit.lessons.uring import batches
from labkit.lessons.uring.arms import summary
from labkit.lessons.uring.plots import plot
from labkit.lessons.uring.registration import REGISTERED
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel
from labkit.notebook.tables import times
from labkit.stats import trial

__all__ = ["panel"]

SIZES = [512, 4096, 16384, 65536, 262144, 1 << 20]
TABLE = [
    "run",
    "arm",
    "registered",
    "block_bytes",
    "calls_per_io",
    "ios_per_s",
    "program_cpu_ns_per_io",
    "kernel_cpu_ns_per_io",
    "ratio",
    "low",
    "high",
]


def panel() -> Panel:
    """Return the panel of lesson 08."""
    return Panel(
        "Inside io_uring",
        controls={
            "batch": controls.several("batch", [*batches.BATCHES, 128, 256], [1, 8, 64], label="batches"),
            "submitter": controls.several("submitter", list(batches.SUBMITTERS), ["program"], label="submitted by"),
            "register": controls.choose("registered", list(REGISTERED)),
            "block_bytes": controls.choose("block_bytes", SIZES, 4096),
            "cache": controls.choose("cache", ["warm", "cold", "direct"], label="way to the file"),
            "seconds": controls.real("elapsed_s", 0.1, 0.01, 10, label="seconds per slice"),
        },
        measure=batches.measure,
        plot=plot,
        finding=finding,
        table=lambda frame: summary(frame)[TABLE],
        accumulate=True,
    )


def finding(frame: pd.DataFrame) -> str:
    """Return what the last run of the panel shows: per submitter, the calls and the cost of its largest batch."""
    arms = summary(frame[frame["run"] == frame["run"].max()])
    first = str(arms["arm"].iloc[0])
    said = []
    for name, rows in arms[~arms["arm"].str.endswith(trial.AGAIN)].groupby("submitter", sort=False):
        row = rows.sort_values("batch").iloc[-1]
        calls = "no system call" if row["calls"] == 0 else f"{row['calls'] / row['ios']:.2g} system calls"
        cost = f"{calls} and {schema.si_ns(row['cpu_ns_per_io'])} of CPU time per I/O"
        by = "the program" if name == "program" else str(name)
        said.append(f"Submitted by {by} with batch {row['batch']}: {cost}{_compared(row, first)}.")
    return " ".join(said)


def _compared(row: pd.Series, first: str) -> str:
    if row["arm"] == first:
        return ""
    if row["low"] <= 1 <= row["high"]:
        return f"; no difference in CPU time from {first} was shown"
    return f", {times(row['ratio'], row['low'], row['high'], row['slices'])} that of {first}"
