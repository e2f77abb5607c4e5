# SPDX-License-Identifier: Apache-2.0
"""Lesson 02: lose updates, draw histograms, fill a map, compare channels."""

from __future__ import annotations

import pandas as pd

from labkit import schema
from labkit.errors import check_choice
from labkit.lessons.maps import bars, buffers, lost_updates, room
from labkit.lessons.maps.plots import plot
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel
from labkit.notebook.tables import compared_ns

__all__ = ["panel"]

SUBJECTS = ("lost updates", "histograms", "full map", "channels")


def panel(subject: str = "lost updates") -> Panel:
    """Return a panel of lesson 02: "lost updates", "histograms", "full map" or "channels"."""
    check_choice("subject", subject, SUBJECTS)
    if subject == "lost updates":
        return Panel(
            "Lost updates",
            controls={
                "calls": controls.choose(
                    "calls", [1009, 10_007, 100_003, 1_000_003], 100_003, label="calls per thread"
                ),
                "threads": controls.whole("threads", 2, 1, 16),
                "ways": controls.several("arm", list(lost_updates.WAYS), list(lost_updates.WAYS), label="ways"),
                "same_cpu": controls.switch("all threads on one CPU"),
                "slices": controls.whole("slices", 3, 2, 20),
            },
            measure=lost_updates.measure,
            plot=plot,
            finding=_lost_updates,
            table=_medians,
        )
    if subject == "histograms":
        return Panel(
            "Histograms",
            controls={
                "smallest": controls.whole("bytes", 600, 1, 1 << 20, label="smallest write"),
                "largest": controls.whole("bytes", 1000, 1, 1 << 20, label="largest write"),
                "step": controls.whole("bytes", 400, 1, 1 << 20, label="step"),
                "first_bytes": controls.whole("bytes", 0, 0, 1 << 20, label="first bar begins at"),
                "bar_bytes": controls.choose("block_bytes", [1, 8, 64, 512, 4096], 64, label="width of a bar"),
                "bars": controls.whole("count", 32, 1, 250, label="bars"),
            },
            measure=bars.sizes,
            plot=plot,
            finding=_histograms,
        )
    if subject == "full map":
        return Panel(
            "A full map",
            controls={
                "keys": controls.whole("keys", 97, 1, 100_000),
                "entries": controls.whole("entries", 64, 1, 100_000),
                "times": controls.whole("count", 1, 1, 100, label="times each"),
            },
            measure=room.full,
            plot=plot,
            finding=_full,
        )
    return Panel(
        "Ring buffer and perf buffer",
        controls={
            "calls": controls.choose("calls", [1009, 10_007, 100_003], 10_007, label="calls per thread"),
            "threads": controls.whole("threads", 2, 1, 16),
            "pages": controls.choose("count", [1 << bit for bit in range(1, 12)], 512, label="pages of room"),
            "slices": controls.whole("slices", 3, 2, 20),
        },
        measure=buffers.channels,
        plot=plot,
        finding=_channels,
        table=_medians,
    )


def _medians(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per arm: the median of its slices."""
    numbers = [name for name in frame.columns if name not in ("arm", "slice")]
    return schema.derived(frame.groupby("arm", as_index=False)[numbers].median(), frame)


def _lost_updates(frame: pd.DataFrame) -> str:
    counted = frame[frame["count"] > 0]
    lost = counted.groupby("arm")["lost_updates"].sum()
    losers = [
        f"{arm} {lost[arm] / counted.loc[counted['arm'] == arm, 'calls'].sum():.2%}" for arm in lost.index if lost[arm]
    ]
    return f"Updates lost: {', '.join(losers)}." if losers else "No update was lost."


def _histograms(frame: pd.DataFrame) -> str:
    bars = frame.groupby("histogram").size()
    writes = frame["calls"].iloc[0]
    return (
        f"The same {writes} writes fill {bars['log2']} bars of the log2 and {bars['linear']} of the linear histogram."
    )


def _full(frame: pd.DataFrame) -> str:
    hashed, lru = (frame[frame["arm"] == arm].iloc[0] for arm in ("hash", "LRU hash"))
    return (
        f"The hash kept {hashed['kept']} keys and refused {hashed['refused']} events; "
        f"the LRU hash refused {lru['refused']} and kept {lru['kept']} keys."
    )


def _channels(frame: pd.DataFrame) -> str:
    said = compared_ns(frame, "perf buffer", "ring buffer").removesuffix(".")
    lost = frame.attrs["lost_events"]
    return f"{said}. {lost} records were lost." if lost else f"{said}. No record was lost."
