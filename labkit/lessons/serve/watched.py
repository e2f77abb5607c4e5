# SPDX-License-Identifier: Apache-2.0
"""Lesson 11: what each way asks of the kernel, from watched runs; and whether every byte comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_int
from labkit.lessons.serve.rates import USUAL
from labkit.lessons.serve.runs import (
    CALLS,
    EVENTS,
    WAYS,
    Answered,
    Setting,
    attached,
    check_settings,
    check_ways,
    run_once,
    usual_place,
)
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.stats import trial

__all__ = ["calls", "integrity", "per_request"]


def calls(
    way: str | Sequence[str] = USUAL,
    connections: int | Sequence[int] = (1, 64),
    message_bytes: int = 64,
    pinning: str | None = None,
    *,
    requests: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Count in the kernel what each way's server does for a number of requests.

    Parameters
    ----------
    way, connections, message_bytes, pinning : as of `serve.measure`; one message size.
    requests : in each run, 1 to 10,000,000; None is 20,000 (1,999 with LABKIT_QUICK=1).

    Returns
    -------
    One row per way, number of connections and event that was seen: arm, connections, requests, event (a system call,
    or "sleep", "preempted", "given to a worker"), count (by the kernel), own_count (by the server itself; -1 for what
    it cannot see). Nothing of it is a time: the server is watched.

    Raises
    ------
    Missing : BPF cannot be loaded here, or this machine refuses all of the ways.
    """
    ways = check_ways(way)
    settings = check_settings(connections, message_bytes, pinning, "tcp")
    wanted = quick(20_000, 1_999) if requests is None else requests
    wanted = check_int("requests", wanted, 1, 10_000_000, "requests")
    jobs = {f"{arm}, {each.connections} connections": (arm, each) for each in settings for arm in ways}
    warnings: list[str] = []
    with exclusive("lesson 11: system calls", progress) as report, attached() as program:
        made = trial.once(
            jobs,
            lambda job, tick: run_once(*job, requests=wanted, program=program, tick=tick),
            progress=report,
            warnings=warnings,
        )
        lost = sum(run.lost_events for run in made.values())
        facts = provenance(command=["serve", "--way", *ways], lost_events=lost, warnings=warnings)
    return schema.frame([row for name, run in made.items() for row in _rows(*jobs[name], run)], **facts)


def _rows(arm: str, setting: Setting, made: Answered) -> list[dict[str, Any]]:
    assert made.kernel is not None
    return [
        {
            "arm": arm,
            "connections": setting.connections,
            "requests": made.requests,
            "event": event,
            "count": made.kernel[event],
            "own_count": made.server["calls"].get(event, 0) if event in CALLS else -1,
        }
        for event in EVENTS
        if made.kernel[event] or made.server["calls"].get(event)
    ]


def per_request(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per way and number of connections, from a frame of `calls`.

    Columns: arm, connections, requests, calls (all that serve), calls_per_request, sleeps_per_request, punted (requests
    that a worker thread of io_uring did).
    """
    found = []
    for (connections, arm), rows in frame.groupby(["connections", "arm"], sort=False):
        counts = rows.set_index("event")["count"]
        total = int(counts[counts.index.isin(CALLS)].sum())
        done = int(rows["requests"].iloc[0])
        found.append(
            {
                "arm": arm,
                "connections": connections,
                "requests": done,
                "calls": total,
                "calls_per_request": total / done,
                "sleeps_per_request": counts.get("sleep", 0) / done,
                "punted": counts.get("given to a worker", 0),
            }
        )
    return schema.derived(found, frame)


def integrity(
    way: str | Sequence[str] = WAYS,
    connections: int = 1000,
    *,
    requests: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Ask over many connections while other clients misbehave, and compare every byte.

    Each tenth client is slow: it sends and reads in small pieces. Each closes its connection after 20 answers and opens
    another. After each fifth answer comes a visitor, who leaves at once, leaves after half a request, resets, or falls
    silent.

    Parameters
    ----------
    way : one or several; those that this machine refuses are left out, with a warning.
    connections : 10 to 1000.
    requests : 1 to 10,000,000; None is 20,000 (1,999 with LABKIT_QUICK=1).

    Returns one row per way: arm, connections, requests (sent as a whole), answered, wrong_bytes, opened_connections,
    visits, accepted (by the server), resets (that it saw).
    """
    ways = check_ways(way)
    connections = check_int("connections", connections, 10, 1000, "connections")
    wanted = quick(20_000, 1_999) if requests is None else requests
    wanted = check_int("requests", wanted, 1, 10_000_000, "requests")
    rough = ["--slow", str(connections // 10), "--requests-per-connection", "20", "--visits-every", "5"]
    rows, warnings, setting = [], list[str](), Setting(connections, 1000, usual_place())
    with exclusive("lesson 11: every byte", progress) as report:
        made = trial.once(
            {arm: arm for arm in ways},
            lambda arm, tick: run_once(arm, setting, requests=wanted, more=rough, tick=tick),
            progress=report,
            warnings=warnings,
        )
        facts = provenance(command=["serve_load", *rough], warnings=warnings)
    for arm, run in made.items():
        told = run.clients
        row = {"arm": arm, "connections": connections, "requests": told["asked"], "answered": told["answered"]}
        row |= {name: told[name] for name in ("wrong_bytes", "opened_connections", "visits")}
        rows.append(row | {name: run.server[name] for name in ("accepted", "resets")})
    return schema.frame(rows, **facts)
