# SPDX-License-Identifier: Apache-2.0
"""Lesson 09, live: turn the shortcut on and off while messages go to and fro."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import Stopped, check_choice, check_float, check_int
from labkit.lessons.sockmap.shortcut import Shortcut
from labkit.lessons.sockmap.slices import MOST_BYTES, SHORTCUT, TCP, Pair, ping_pong
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.pinning import PINNINGS, SAME, check_pinning
from labkit.running.progress import Progress

__all__ = ["live"]

_KEPT = ["rtt_ns", "p50_ns", "p99_ns", "round_trips", "messages", "redirects", "lo_packets"]


def live(
    switch: Callable[[], bool],
    seen: Callable[[pd.DataFrame], None] | None = None,
    *,
    message_bytes: int = 64,
    pinning: str = SAME,
    seconds: float | None = None,
    window_s: float = 0.2,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Send messages to and fro, window after window, and look at a switch before each one.

    Each window opens a new connection, because only a new connection is put in the map. One that has sent a byte by TCP
    stays with TCP; otherwise later bytes would overtake it.

    Parameters
    ----------
    switch : returns whether the next window uses the shortcut.
    seen : called after each window with the frame so far.
    message_bytes : 1 to 1 MiB.
    pinning : "same core" or "cross core".
    seconds : total time, 0.1 to 3600; None is 20 (2 with LABKIT_QUICK=1).
    window_s : how long messages flow in each window, 0.01 to 10 seconds.

    Returns one row per window: elapsed_s (by the clock), arm, rtt_ns, p50_ns, p99_ns (of at least 1000 round trips),
    round_trips, messages, redirects, lo_packets. Stop ends it early, and the windows so far are returned.
    """
    size = check_int("message_bytes", message_bytes, 1, MOST_BYTES, "bytes")
    (place,) = check_pinning(check_choice("pinning", pinning, PINNINGS))
    seconds = check_float("seconds", quick(20, 2) if seconds is None else seconds, 0.1, 3600, "seconds")
    window_s = check_float("window_s", window_s, 0.01, 10, "seconds")
    rows: list[dict[str, Any]] = []
    gone_s = 0.0
    options = ["--seconds", str(window_s)]
    facts = provenance(command=["ping_pong", *options])
    made = pd.DataFrame()
    with suppress(Stopped), exclusive("lesson 09: the switch", progress) as report, Shortcut() as cut:
        began_s = time.monotonic()
        while gone_s < seconds:
            on = switch()
            (cut.on if on else cut.off)()
            arm = SHORTCUT if on else TCP

            def tick(_: float, share: float = gone_s / seconds, arm: str = arm) -> None:
                report(share, arm)

            result = ping_pong(Pair(SHORTCUT, place, size, options), cut, tick)  # in the cgroup, on or off
            gone_s = time.monotonic() - began_s
            rows.append({"elapsed_s": gone_s, "arm": arm, **{name: result[name] for name in _KEPT}})
            made = schema.frame(rows, **facts)
            if seen is not None:
                seen(made)
    if made.empty:
        raise Stopped
    return made
