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
        table=by_run,
        accumulate=True,
    )


def finding(frame: pd.DataFrame) -> str:
    """Return what the last run shows, in one sentence."""
    last = frame[frame["run"] == frame["run"].max()] if "run" in frame else frame
    middle, size = last["latency_ns"].median(), int(last["block_bytes"].iloc[0])
    several = len(last) > 1
    return (
        f"{f'Half of the {len(last)} reads' if several else 'The one read'} of {schema.si_bytes(size)} took "
        f"{schema.si_ns(middle)}{' or less' if several else ''}: {middle / size:.3g} ns per byte."
    )


def by_run(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run, the newest first: run, block_bytes, blocks, latency_ns (median), ns_per_byte."""
    found = frame.groupby("run", as_index=False).agg(
        block_bytes=("block_bytes", "first"), blocks=("latency_ns", "size"), latency_ns=("latency_ns", "median")
    )
    found["ns_per_byte"] = found["latency_ns"] / found["block_bytes"]
    return schema.derived(found.sort_values("run", ascending=False, ignore_index=True), frame)
