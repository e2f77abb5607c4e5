# SPDX-License-Identifier: Apache-2.0
"""Lesson 09: round trips, streams and Redis by three ways, and a switch to turn while messages flow."""

from __future__ import annotations

from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_choice
from labkit.lessons.sockmap import comparison, live, servers
from labkit.lessons.sockmap.findings import against_tcp
from labkit.lessons.sockmap.plots import plot
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel
from labkit.running.pinning import PINNINGS, SAME

__all__ = ["panel"]

SUBJECTS = ("round trips", "streams", "Redis", "switch")
SIZES = [1, 64, 256, 1024, 4096, 16384, 65536, 1 << 20]


def panel(subject: str = "round trips") -> Panel:
    """Return a panel of lesson 09: "round trips", "streams", "Redis" or "switch"."""
    check_choice("subject", subject, SUBJECTS)
    if subject == "switch":
        return _switch()
    pinning = controls.several("pinning", PINNINGS, [SAME])
    slices = controls.whole("slices", 6, 2, 100)
    if subject == "Redis":
        return Panel(
            "Redis with and without the shortcut",
            controls={
                "pipeline": controls.several("pipeline", [1, 4, 16, 64], [1, 16]),
                "pinning": pinning,
                "clients": controls.whole("connections", 50, 1, 1000),
                "value_bytes": controls.choose("message_bytes", SIZES[:-1], 64, label="size of the value"),
                "slices": slices,
            },
            measure=servers.measure,
            plot=plot,
            finding=lambda frame: against_tcp(frame, "requests_per_s", "requests per second"),
            table=comparison.medians,
        )
    sizes = controls.several("message_bytes", SIZES, [64, 16384])
    common = {"message_bytes": sizes, "pinning": pinning, "connections": controls.whole("connections", 1, 1, 1024)}
    common |= {"ipv6": controls.switch("IPv6"), "slices": slices}
    streams = subject == "streams"
    compared = ("bytes_per_s", "bytes per second") if streams else ("p50_ns", "speed in round trips")
    return Panel(
        "Streams by three ways" if streams else "Round trips by three ways",
        controls=common,
        measure=comparison.throughput if streams else comparison.measure,
        plot=plot,
        finding=lambda frame: against_tcp(frame, *compared),
        table=comparison.medians,
    )


def _switch() -> Panel:
    switch = controls.switch("sockmap on")

    def measure(*, on: bool, **settings: Any) -> pd.DataFrame:
        """Read the switch itself, since it may be turned during the run."""
        return live.live(lambda: bool(switch.value), switchboard.show, **settings)

    switchboard = Panel(
        "The switch",
        controls={
            "on": switch,
            "message_bytes": controls.choose("message_bytes", SIZES, 64),
            "pinning": controls.choose("pinning", PINNINGS, SAME),
            "seconds": controls.whole("elapsed_s", 30, 1, 600, label="seconds"),
        },
        measure=measure,
        plot=plot,
        finding=_windows,
        table=lambda frame: frame.tail(8).iloc[::-1],
        live=["on"],
    )
    return switchboard


def _windows(frame: pd.DataFrame) -> str:
    said = [
        f"{arm} {schema.si_ns(rows.median())} (windows: {len(rows)})" for arm, rows in frame.groupby("arm")["p50_ns"]
    ]
    if len(said) == 1:
        said.append("turn the switch to compare")
    return f"Median round trip: {'; '.join(said)}."
