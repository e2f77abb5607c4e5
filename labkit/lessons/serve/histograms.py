# SPDX-License-Identifier: Apache-2.0
"""Lesson 11: the whole distribution of the latencies, as the clients have it, of the closed and of the open loop.

Rests on the histogram of c/workloads/common/histogram.h, which c/workloads/serve_load/ keeps twice: from the time at
which a request was due, and from the time at which it was sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.errors import WorkloadUnable
from labkit.lessons.serve.open_loop import CLOSED, OPEN, Loop, both_loops, check_load
from labkit.lessons.serve.runs import check_setting, check_ways
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, part
from labkit.stats.histogram import BUCKETS, bucket_middle, bucket_of, p99, quantile

__all__ = ["DUE", "SENT", "latencies", "percentiles"]

SHARES = (0.4, 2.0)
DUE, SENT = "due", "sent"
ONE_RUN = ["arm", "loop", "share", "clock", "requests"]


def latencies(
    way: str | Sequence[str] = "epoll",
    share: float | Sequence[float] = SHARES,
    connections: int = 64,
    message_bytes: int = 64,
    pinning: str | None = None,
    *,
    transport: str = "tcp",
    slices: int | None = None,
    slice_s: float | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return the histogram of the latencies: of the closed loop, and of the open loop at each rate by two clocks.

    Parameters
    ----------
    way : one or several, as of `serve.measure`.
    share, connections, message_bytes, pinning, transport, slices, slice_s, seed : as of `serve.offered_load`.

    Returns
    -------
    One row per way, loop, share, clock and bucket that is not empty: arm, loop, share (NaN in the closed loop), clock
    ("due" or "sent": the time at which the latency begins; the closed loop has only "sent"), latency_ns (the middle of
    the bucket), count, requests (the clients' count of all answers, the same in each row). A bucket is at most 1.6 %
    wide; the slices are added up.

    Raises
    ------
    BadArgument, Missing : before anything is started.
    WorkloadUnable : this machine refuses all of the ways; those that it refuses are left out, with a warning.
    """
    ways = check_ways(way)
    setting = check_setting(connections, message_bytes, pinning, transport)
    shares, slices, slice_s, seed = check_load(share, slices, slice_s, seed)
    frames: list[pd.DataFrame] = []
    refused: list[WorkloadUnable] = []
    command: list[str] = []
    with exclusive("lesson 11: latencies", progress) as report:
        for number, arm in enumerate(ways):
            piece = part(report, number / len(ways), (number + 1) / len(ways))
            try:
                made = both_loops(arm, setting, shares, slices=slices, slice_s=slice_s, seed=seed, progress=piece)
            except WorkloadUnable as error:
                refused.append(error)
                continue
            frames += [_rows(each, clock).assign(arm=arm) for each in made for clock in _clocks(each)]
            command = made[0].runs[0].command
        warnings = [f"{error.what} Fix: {error.fix}" for error in refused]
        facts = provenance(command=command, seed=seed, connections=setting.connections, warnings=warnings)
    if not frames:
        raise refused[0]
    return schema.frame(pd.concat(frames, ignore_index=True)[[*ONE_RUN, "latency_ns", "count"]], **facts)


def _clocks(made: Loop) -> list[str]:
    return [DUE, SENT] if made.rate else [SENT]  # in the closed loop a request is due when it is sent


def _rows(made: Loop, clock: str) -> pd.DataFrame:
    """Return one histogram: the sum of the slices'."""
    per_run = [run.service if made.rate and clock == SENT else run.latency for run in made.runs]
    counts = np.sum(per_run, axis=0)
    (filled,) = np.nonzero(counts)
    return pd.DataFrame(
        {
            "loop": OPEN if made.rate else CLOSED,
            "share": made.share if made.rate else np.nan,
            "clock": clock,
            "requests": sum(run.requests for run in made.runs),
            "latency_ns": bucket_middle(filled),
            "count": counts[filled],
        }
    )


def percentiles(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the percentiles of each histogram.

    Parameters
    ----------
    frame : from `latencies`.

    Returns one row per histogram: arm, loop, share, clock, requests, p50_ns, p99_ns (NaN below 1000 requests), max_ns
    (the middle of the last bucket).
    """
    found: list[dict[str, Any]] = []
    for named, rows in frame.groupby(ONE_RUN, sort=False, dropna=False):
        counts = np.zeros(BUCKETS, dtype=np.int64)
        counts[bucket_of(rows["latency_ns"])] = rows["count"]
        last = {"p50_ns": quantile(counts, 0.5), "p99_ns": p99(counts), "max_ns": rows["latency_ns"].max()}
        found.append(dict(zip(ONE_RUN, named, strict=True)) | last)
    return schema.derived(found, frame)
