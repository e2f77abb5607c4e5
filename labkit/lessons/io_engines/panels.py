# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: engines, block sizes, depths and ways to the file next to each other; and the same I/Os as lanes."""

from __future__ import annotations

import pandas as pd

from labkit.errors import check_choice
from labkit.lessons._io import job
from labkit.lessons.io_engines.findings import finding
from labkit.lessons.io_engines.plots import plot
from labkit.lessons.io_engines.rates import measure
from labkit.lessons.io_engines.timelines import lanes, overlap
from labkit.machine.folders import data_folder
from labkit.machine.storage import sector_bytes
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel

__all__ = ["panel"]

SUBJECTS = ("engines", "lanes")
SIZES = [512, 4096, 16384, 65536, 262144, 1 << 20, 4 << 20]
DEPTHS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
TABLE = [
    "run",
    "engine",
    "again",
    "cache",
    "operation",
    "order",
    "block_bytes",
    "queue_depth",
    "in_flight",
    "p50_ns",
    "p99_ns",
    "ios_per_s",
    "low_ios_per_s",
    "high_ios_per_s",
    "bytes_per_s",
    "calls_per_io",
    "cpu_ns_per_io",
]
SETTINGS = ("cache", "operation", "order", "block_bytes", "queue_depth")


def panel(subject: str = "engines") -> Panel:
    """Return a panel of lesson 07: "engines" or "lanes"."""
    check_choice("subject", subject, SUBJECTS)
    sizes = [size for size in SIZES if size % sector_bytes(data_folder()) == 0]  # smaller ones fail with O_DIRECT
    engines = controls.several("engine", [*job.ENGINES, "pool"], list(job.ENGINES), label="engines")
    if subject == "engines":
        return Panel(
            "Three ways to read",
            controls={
                "engine": engines,
                "block_bytes": controls.several("block_bytes", sizes, [4096], label="block sizes"),
                "queue_depth": controls.several("queue_depth", DEPTHS, [32], label="queue depths"),
                "cache": controls.several("cache", list(job.CACHES), ["direct"], label="ways to the file"),
                "operation": controls.choose("operation", list(job.OPERATIONS)),
                "order": controls.choose("order", list(job.ORDERS)),
                "seconds": controls.real("elapsed_s", 0.1, 0.01, 10, label="seconds per slice"),
            },
            measure=measure,
            plot=plot,
            finding=finding,
            table=_table,
            accumulate=True,
        )
    return Panel(
        "I/Os as lanes",
        controls={
            "engine": engines,
            "queue_depth": controls.choose("queue_depth", DEPTHS, 8),
            "block_bytes": controls.choose("block_bytes", sizes, 4096),
            "cache": controls.choose("cache", list(job.CACHES), label="way to the file"),
            "ios": controls.whole("ios", 64, 1, 10_000, label="I/Os per engine"),
        },
        measure=lanes,
        plot=plot,
        finding=_lanes,
        table=overlap,
    )


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what fits on a page: settings that are the same in every row are those next to Run."""
    return frame[[name for name in TABLE if name not in SETTINGS or frame[name].nunique() > 1]]


def _lanes(frame: pd.DataFrame) -> str:
    said = [f"{row['engine']} {row['most_in_flight']}" for row in overlap(frame).to_dict("records")]
    return f"Most I/Os in flight at once: {', '.join(said)}."
