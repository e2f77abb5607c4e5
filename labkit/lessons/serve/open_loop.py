# SPDX-License-Identifier: Apache-2.0
"""Lesson 11: latency against the rate at which requests come, next to clients that wait for each answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.errors import check_choice, check_float, check_seed, several
from labkit.lessons.serve.runs import WAYS, Answered, Setting, check_setting, run_once
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick, part
from labkit.stats import trial
from labkit.stats.histogram import quantile
from labkit.stats.tails import by_two_clocks

__all__ = ["CLOSED", "OPEN", "Loop", "both_loops", "check_load", "offered_load"]

SHARES = (0.2, 0.4, 0.6, 0.8, 2.0)  # of the best of three closed runs: the last one is too much in any case
CLOSED, OPEN = "closed", "open"


@dataclass(frozen=True)
class Loop:
    """The slices of one loop; the rate at which requests were due is 0 in the closed loop."""

    rate: int
    share: float  # of the closed loop's rate
    runs: list[Answered]
    again: bool = False  # the A/A arm


def offered_load(
    way: str = "epoll",
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
    """Ask at a rate, whether or not the last answers are there (open loop), and compare with the closed loop.

    The arrivals are a Poisson process. A request that is due while all connections wait for an answer waits, too.

    Parameters
    ----------
    way, connections, message_bytes, pinning, transport : as of `serve.measure`; one of each.
    share : one offered rate or several, as a share of the closed loop's (of the best of three runs), 0.01 to 2.
    slices, slice_s, seed : as of `serve.measure`; None is 6 slices of 0.3 seconds (2 of 0.05 with LABKIT_QUICK=1).

    Returns
    -------
    One row for the closed loop, one for it again (A/A, `again` is True), and one per share: loop, again, share,
    offered_requests_per_s (both NaN in the closed loop), requests_per_s (answered), requests, never_asked (due, but no
    connection was free until the end), slices, p50_ns. Medians of the slices, with their 95 % interval: p99_ns,
    low_p99_ns, high_p99_ns (from the time at which a request was due), service_p99_ns, low_service_p99_ns,
    high_service_p99_ns (the same requests, from the time at which they were sent); ratio, low, high (p99_ns to
    service_p99_ns, slice by slice). These are NaN if a slice has fewer than 1000 requests.
    """
    check_choice("way", way, WAYS)
    setting = check_setting(connections, message_bytes, pinning, transport)
    shares, slices, slice_s, seed = check_load(share, slices, slice_s, seed)
    with exclusive("lesson 11: offered load", progress) as report:
        made = both_loops(way, setting, shares, again=True, slices=slices, slice_s=slice_s, seed=seed, progress=report)
        rows = [_row(each) for each in made]
        facts = provenance(
            command=made[0].runs[0].command,
            seed=seed,
            way=way,
            connections=setting.connections,
            warnings=trial.too_few(slices),
        )
    return schema.frame(rows, **facts)


def check_load(
    share: float | Sequence[float], slices: int | None, slice_s: float | None, seed: int | None
) -> tuple[list[float], int, float, int]:
    """Return the shares, the number of slices, their length and the seed, or raise BadArgument; as `offered_load`."""
    shares = [check_float("share", each, 0.01, 2, "of the closed loop's rate") for each in several("share", share)]
    slices = trial.check_slices(slices, 6, 2)
    slice_s = check_float("slice_s", quick(0.3, 0.05) if slice_s is None else slice_s, 0.005, 60, "seconds")
    return shares, slices, slice_s, check_seed(seed)


def both_loops(
    way: str,
    setting: Setting,
    shares: Sequence[float],
    *,
    again: bool = False,
    slices: int,
    slice_s: float,
    seed: int,
    progress: Progress,
) -> list[Loop]:
    """Run the closed loop, and the open loop at each share of the rate of the best of three closed runs, interleaved.

    Returns the closed loop first, with `again` a second time as the A/A arm; then one per share, in their order.
    """
    capacity = max(run_once(way, setting, seconds=slice_s).requests_per_s for _ in range(3))
    rates = dict.fromkeys((CLOSED, CLOSED + trial.AGAIN) if again else (CLOSED,), 0)
    rates |= {f"{OPEN}, {each:.0%}": round(each * capacity) for each in shares}
    seeds = map(str, count(1))  # each slice draws its own arrivals: one series may be faster than its rate

    def run(arm: str, tick: Tick) -> Answered:
        return run_once(way, setting, seconds=slice_s, rate=rates[arm], more=["--seed", next(seeds)], tick=tick)

    made = trial.interleaved(
        list(rates), run, slices=slices, seed=seed, progress=part(progress, 0.05, 1.0), seconds=slice_s
    ).by_arm()
    return [Loop(rate, rate / capacity, made[arm], arm.endswith(trial.AGAIN)) for arm, rate in rates.items()]


def _row(made: Loop) -> dict[str, Any]:
    rate, runs = made.rate, made.runs
    latency = [run.latency for run in runs]
    return {
        "loop": OPEN if rate else CLOSED,
        "again": made.again,
        "share": made.share if rate else np.nan,
        "offered_requests_per_s": rate or np.nan,
        "requests_per_s": np.median([run.requests_per_s for run in runs]),
        "requests": sum(run.requests for run in runs),
        "never_asked": sum(run.clients["never_asked"] for run in runs),
        "slices": len(runs),
        "p50_ns": np.median([quantile(counts, 0.5) for counts in latency]),
        **by_two_clocks(latency, [run.service for run in runs] if rate else latency),
    }
