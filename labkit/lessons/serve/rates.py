# SPDX-License-Identifier: Apache-2.0
"""Lesson 11: requests per second and CPU time per request, by way, connections and message size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_choice, check_float, check_seed
from labkit.lessons.serve.runs import BASELINE, WAYS, Answered, Setting, check_settings, check_ways, run_once
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick, part
from labkit.stats import settings, trial
from labkit.stats.histogram import p99, quantile

__all__ = ["SETTING", "many_connections", "measure", "medians", "ratios"]

SETTING = ["pinning", "transport", "connections", "message_bytes"]
CONNECTIONS = (1, 16, 256)
USUAL = ("threads", "epoll", "uring", "multishot")


def measure(
    way: str | Sequence[str] = USUAL,
    connections: int | Sequence[int] | None = None,
    message_bytes: int | Sequence[int] = 64,
    pinning: str | None = None,
    *,
    transport: str = "tcp",
    slices: int | None = None,
    slice_s: float | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let clients ask servers that differ in their way, in interleaved slices; each connection waits for its answer.

    Parameters
    ----------
    way : one or several of "threads", "epoll", "uring", "multishot", "registered", "zerocopy".
    connections : one number or several, 1 to 1000; None is 1, 16 and 256 (1 and 64 with LABKIT_QUICK=1).
    message_bytes : one size or several, 1 to 64 KiB; a server sends back what it gets.
    pinning : "same core" or "cross core"; None is "cross core" if this process may use two CPUs.
    transport : "tcp" or "unix".
    slices : slices of each arm, 2 to 1000; None is 6 (2 with LABKIT_QUICK=1).
    slice_s : how long each lasts, 0.005 to 60 seconds; None is 0.15 (0.03 with LABKIT_QUICK=1).
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per slice: arm, slice, pinning, transport, connections, message_bytes, requests_per_s, p50_ns, p99_ns (of at
    least 1000 requests), requests, cpu_ns_per_request, own_calls_per_request and switches_per_request (of the server
    alone; the calls as the server counts them), peak_bytes (the most memory that the server had), notifications,
    copied_notifications (of zero-copy sends). The first of the ways, or "epoll" if it is among them, runs twice:
    "(again)" shows the noise.

    Raises
    ------
    BadArgument, Missing : before anything is started.
    WorkloadUnable : this machine refuses all of the ways; those that it refuses are left out, with a warning.
    """
    ways = check_ways(way)
    counts = quick(CONNECTIONS, (1, 64)) if connections is None else connections
    wanted = check_settings(counts, message_bytes, pinning, transport)
    slices = trial.check_slices(slices, 6, 2)
    slice_s = check_float("slice_s", quick(0.15, 0.03) if slice_s is None else slice_s, 0.005, 60, "seconds")
    seed = check_seed(seed)
    baseline = BASELINE if BASELINE in ways else ways[0]
    frames, warnings = [], []

    with exclusive("lesson 11: requests per second", progress) as report:
        for number, setting in enumerate(wanted):

            def run(arm: str, tick: Tick, setting: Setting = setting) -> dict[str, Any]:
                made = run_once(arm.removesuffix(trial.AGAIN), setting, seconds=slice_s, tick=tick)
                return {**setting.columns, **_row(made)}

            made = trial.interleaved(
                [*ways, baseline + trial.AGAIN],
                run,
                slices=slices,
                seed=seed,
                seconds=slice_s,
                progress=part(report, number / len(wanted), (number + 1) / len(wanted)),
            )
            frames.append(made.frame())
            warnings += made.warnings
        facts = provenance(command=["serve", "--way", *ways], baseline=baseline, warnings=list(dict.fromkeys(warnings)))
    return schema.frame(pd.concat(frames, ignore_index=True), **facts)


def _row(made: Answered) -> dict[str, Any]:
    server = made.server["server"]
    done = max(made.requests, 1)
    return {
        "requests_per_s": made.requests_per_s,
        "p50_ns": float(quantile(made.latency, 0.5)),
        "p99_ns": p99(made.latency),
        "requests": made.requests,
        "cpu_ns_per_request": made.cpu_ns_per_request,
        "own_calls_per_request": made.own_calls / done,
        "switches_per_request": (server["voluntary_switches"] + server["involuntary_switches"]) / done,
        "peak_bytes": made.server["peak_bytes"],
        "notifications": made.server["notifications"],
        "copied_notifications": made.server["copied_notifications"],
    }


def ratios(frame: pd.DataFrame, column: str = "requests_per_s", baseline: str | None = None) -> pd.DataFrame:
    """Return each way's ratio to the baseline, slice by slice, with its 95 % interval, for each setting measured.

    Parameters
    ----------
    frame : from `measure`.
    column : what to compare: "requests_per_s", "cpu_ns_per_request", "p50_ns" …
    baseline : None is the frame's own, "epoll" if it was measured.

    Returns one row per setting and arm: the setting, arm, ratio, low, high, slices.
    """
    check_choice("column", column, list(frame.columns))
    baseline = str(frame.attrs.get("baseline", BASELINE)) if baseline is None else baseline
    values = frame.assign(value=frame[column])
    return settings.ratios(values, SETTING, baseline, lambda here: many_connections(here["connections"]))


def many_connections(connections: int) -> str:
    """Return a number of connections in words, such as "1 connection"."""
    return "1 connection" if connections == 1 else f"{connections} connections"


def medians(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per setting and arm: the medians of its slices."""
    numbers = [name for name in frame if name not in (*SETTING, "arm", "slice")]
    made = frame.groupby([*SETTING, "arm"], as_index=False, sort=False)[numbers].median()
    places = {arm: place for place, arm in enumerate((*WAYS, *(way + trial.AGAIN for way in WAYS)))}
    ordered = made.assign(_place=made["arm"].map(places)).sort_values([*SETTING[2:], "_place"])
    return schema.derived(ordered.drop(columns="_place").reset_index(drop=True), frame)
