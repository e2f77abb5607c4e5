"""Lesson 05: choose how many requests, how long each takes, and which probes to listen to."""

from __future__ import annotations

import pandas as pd

from labkit import schema
from labkit.experiments import usdt as experiment
from labkit.experiments.usdt_live import MOST_REQUESTS

from .. import plot
from . import controls
from .base import Panel

__all__ = ["usdt"]


def usdt() -> Panel:
    """Return the panel of lesson 05."""
    work_ns = [0, 5_000, 20_000, 100_000, 1_000_000, 10_000_000]
    names = list(experiment.PROBES)
    return Panel(
        "Listen to probes",
        controls={
            "requests": controls.whole("requests", 101, 1, MOST_REQUESTS, label="iterations"),
            "work_ns": controls.choose("latency_ns", work_ns, 20_000, label="work of each"),
            "probes": controls.several("probe", names, ["request_start", "request_done"], label="probes"),
        },
        measure=experiment.measure,
        plot=plot.usdt,
        finding=finding,
    )


def finding(frame: pd.DataFrame) -> str:
    """Return what the frame shows, in one sentence."""
    heard = frame["probe"].value_counts()
    fired = frame.attrs["fired"]
    counts = plot.listing(f"{name} {heard[name]} times (the program: {fired[name]})" for name in fired if name in heard)
    done = frame[frame["probe"] == "request_done"]
    told = f" The median latency of a request is {schema.si_ns(done['latency_ns'].median())}." if len(done) else ""
    return f"eBPF saw {counts}.{told}"
