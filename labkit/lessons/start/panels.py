# SPDX-License-Identifier: Apache-2.0
"""Lesson 00: choose a block size, press Run, see how long each read takes."""

from __future__ import annotations

import pandas as pd

from labkit import schema
from labkit.lessons.start import reads
from labkit.lessons.start.plots import plot
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel

__all__ = ["panel"]


def panel() -> Panel:
    """Return the panel of lesson 00."""
    return Panel(
        "Time each read",
        controls={
            "block_bytes": controls.choose("block_bytes", [1024, 4096, 16384, 65536, 262144, 1 << 20], 65536),
            "blocks": controls.whole("blocks", 97, 1, 10_000),
        },
        measure=reads.measure,
        plot=plot,
        finding=finding,
    )


def finding(frame: pd.DataFrame) -> str:
    """Return what the frame shows, in one sentence."""
    middle, size = frame["latency_ns"].median(), int(frame["block_bytes"].iloc[0])
    return (
        f"Half of the {len(frame)} reads of {schema.si_bytes(size)} took less than {schema.si_ns(middle)}: "
        f"{middle / size:.3g} ns for each byte."
    )
