# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: batches, who hands over, what is registered, and the block size, against calls and CPU time."""

from __future__ import annotations

import pandas as pd

from labkit import schema
from labkit.lessons.uring import modes
from labkit.lessons.uring.plots import plot
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel

__all__ = ["panel"]

SIZES = [512, 4096, 16384, 65536, 262144, 1 << 20]
TABLE = [
    "run", "submitter", "registered", "block_bytes", "batch", "calls_per_io", "ios_per_s",
    "program_cpu_ns_per_io", "kernel_cpu_ns_per_io",
]  # fmt: skip


def panel() -> Panel:
    """Return the panel of lesson 08."""
    return Panel(
        "Inside io_uring",
        controls={
            "batch": controls.several("batch", [*modes.BATCHES, 128, 256], [1, 8, 64], label="batches"),
            "submitter": controls.several("submitter", list(modes.SUBMITTERS), ["program"], label="handed over by"),
            "register": controls.choose("registered", list(modes.REGISTERED)),
            "block_bytes": controls.choose("block_bytes", SIZES, 4096),
            "cache": controls.choose("cache", ["warm", "cold", "direct"], label="way to the file"),
            "seconds": controls.real("elapsed_s", 0.1, 0.01, 10, label="seconds each"),
        },
        measure=modes.measure,
        plot=plot,
        finding=_finding,
        table=lambda frame: frame[TABLE],
        accumulate=True,
    )


def _finding(frame: pd.DataFrame) -> str:
    last = frame[frame["run"] == frame["run"].max()]
    each = []
    for name, rows in last.groupby("submitter", sort=False):
        row = rows.sort_values("batch").iloc[-1]
        calls = "no call is" if row["calls"] == 0 else f"{row['calls'] / row['ios']:.2g} calls are"
        both = schema.si_ns(row["program_cpu_ns_per_io"] + row["kernel_cpu_ns_per_io"])
        by = "the program" if name == "program" else name
        each.append(
            f"Handed over by {by}, {row['batch']} at once: {calls} made for an I/O; it costs {both} of CPU time."
        )
    return " ".join(each)
