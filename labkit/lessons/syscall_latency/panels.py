# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: time a system call over block sizes, over time, and stage by stage."""

from __future__ import annotations

from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_choice
from labkit.lessons._io import job
from labkit.lessons.syscall_latency import io_stages, latencies
from labkit.lessons.syscall_latency.plots import plot
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel
from labkit.notebook.tables import times

__all__ = ["panel"]

SUBJECTS = ("block sizes", "heat map", "stages")
SIZES = [512, 4096, 16384, 65536, 262144, 1 << 20, 4 << 20]


def panel(subject: str = "block sizes") -> Panel:
    """Return a panel of lesson 06: "block sizes", "heat map" or "stages"."""
    check_choice("subject", subject, SUBJECTS)
    operation = controls.choose("operation", list(job.OPERATIONS))
    if subject == "block sizes":
        return Panel(
            "Time a system call",
            controls={
                "block_bytes": controls.several("block_bytes", SIZES, [4096, 65536, 1 << 20], label="block sizes"),
                "cache": controls.several("cache", list(job.CACHES), ["direct", "warm"], label="ways to the file"),
                "operation": operation,
                "seconds": controls.real("elapsed_s", 0.05, 0.01, 10, label="seconds each"),
            },
            measure=latencies.measure,
            plot=plot,
            finding=_sweep,
            accumulate=True,
        )
    cache = controls.choose("cache", list(job.CACHES), label="way to the file")
    if subject == "heat map":
        return Panel(
            "A system call over time",
            controls={
                "block_bytes": controls.choose("block_bytes", SIZES, 4096),
                "cache": cache,
                "operation": operation,
                "seconds": controls.real("elapsed_s", 3, 0.2, 60, label="seconds"),
                "neighbour": controls.switch("a neighbour in the middle third", True),
            },
            measure=latencies.heat_map,
            plot=plot,
            finding=_heat_map,
        )
    return Panel(
        "Where the time goes",
        controls={
            "block_bytes": controls.several("block_bytes", SIZES, [4096, 65536], label="block sizes"),
            "cache": cache,
            "operation": operation,
            "ios": controls.whole("ios", 97, 1, 10_000, label="I/Os of each size"),
        },
        measure=io_stages.stages,
        plot=plot,
        finding=_stages,
        table=io_stages.breakdown,
    )


def _sweep(frame: pd.DataFrame) -> str:
    last = frame if "run" not in frame else frame[frame["run"] == frame["run"].max()]
    counted = f"The timer counted {last['count'].sum()} calls, the program made {last['ios'].sum()}"
    by_way = {way: rows.sort_values("block_bytes") for way, rows in last.groupby("cache", sort=False)}
    if last["block_bytes"].nunique() == 1:
        each = [f"{schema.formatter('cache')(way)} {_interval(rows.iloc[0])}" for way, rows in by_way.items()]
        return f"{counted}. Median of {schema.si_bytes(last['block_bytes'].iloc[0])}: {'; '.join(each)}."
    way, rows = next(iter(by_way.items()))
    each = [
        f"blocks of {schema.si_bytes(row['block_bytes'])} take {_interval(row)} each, "
        f"{schema.si_bytes(row['bytes_per_s'])} per second"
        for row in (rows.iloc[0], rows.iloc[-1])
    ]
    return f"{counted}. {schema.formatter('cache')(way)}: {'; '.join(each)}."


def _interval(row: pd.Series[Any]) -> str:
    """Return a median with its interval in words."""
    low, high = schema.si_ns(row["low_p50_ns"]), schema.si_ns(row["high_p50_ns"])
    return f"{schema.si_ns(row['p50_ns'])} (95 % interval {low} to {high})"


def _heat_map(frame: pd.DataFrame) -> str:
    calls = frame["count"].sum()
    inside = frame["neighbour"] == "at work"
    if not inside.any():
        return f"{calls} calls, and no neighbour disturbed them."
    apart = latencies.disturbance(frame)
    median = apart.loc[apart["comparison"] == "median", ["ratio", "low", "high"]]
    share = times(*median.to_numpy()[0])
    return f"{calls} calls: next to the neighbour the median was {share} that of the rest of the time."


def _stages(frame: pd.DataFrame) -> str:
    parts = io_stages.breakdown(frame)
    most = parts.sort_values("share").groupby("block_bytes").tail(1).sort_values("block_bytes")
    said = [
        f"{schema.si_bytes(row['block_bytes'])}: {schema.label(row['stage'])}, {row['share']:.0%}"
        for row in most.to_dict("records")
    ]
    return f"Most of the time goes to: {'; '.join(said)}."
