"""Lesson 09: round trips, streams and Redis by three ways, and a switch to turn while messages flow."""

from __future__ import annotations

from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_choice
from labkit.lessons.sockmap import comparison, live, servers
from labkit.lessons.sockmap.plots import plot
from labkit.lessons.sockmap.slices import SHORTCUT, TCP
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
    slices = controls.whole("slices", 4, 2, 100)
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
            finding=_requests,
            table=comparison.medians,
        )
    sizes = controls.several("message_bytes", SIZES, [64, 16384])
    common = {"message_bytes": sizes, "pinning": pinning, "connections": controls.whole("connections", 1, 1, 1024)}
    common |= {"ipv6": controls.switch("IPv6"), "slices": slices}
    streams = subject == "streams"
    return Panel(
        "Streams by three ways" if streams else "Round trips by three ways",
        controls=common,
        measure=comparison.throughput if streams else comparison.measure,
        plot=plot,
        finding=_streams if streams else _round_trips,
        table=comparison.medians,
    )


def _switch() -> Panel:
    switch = controls.switch("sockmap on")

    def measure(*, on: bool, **settings: Any) -> pd.DataFrame:
        """Watch the switch itself: it may be turned while this runs."""
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
        table=lambda frame: frame.tail(8),
    )
    return switchboard


def _ratio(frame: pd.DataFrame, column: str) -> tuple[str, float]:
    """Return the first setting in words, and there TCP's median in a column by the shortcut's."""
    setting = ["pinning", "pipeline" if "pipeline" in frame else "message_bytes"]
    first = frame.iloc[0]
    here = frame[(frame[setting] == first[setting]).all(axis=1)]
    middle = here.groupby("arm")[column].median()
    size = f"pipeline {first['pipeline']}" if "pipeline" in frame else schema.si_bytes(first["message_bytes"])
    return f"{first['pinning']}, {size}", middle[TCP] / middle[SHORTCUT]


def _round_trips(frame: pd.DataFrame) -> str:
    where, ratio = _ratio(frame, "p50_ns")
    return f"{where}: a round trip by TCP takes {ratio:.2f} times as long as by the shortcut."


def _streams(frame: pd.DataFrame) -> str:
    where, ratio = _ratio(frame, "bytes_per_s")
    return f"{where}: TCP carries {ratio:.2f} times as many bytes a second as the shortcut."


def _requests(frame: pd.DataFrame) -> str:
    where, ratio = _ratio(frame, "requests_per_s")
    return f"{where}: with the shortcut Redis answers {1 / ratio:.2f} times as many requests a second."


def _windows(frame: pd.DataFrame) -> str:
    said = [f"{arm} {schema.si_ns(rows.median())}" for arm, rows in frame.groupby("arm")["p50_ns"]]
    return f"Median round trip: {', '.join(said)}."
