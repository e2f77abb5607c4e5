# SPDX-License-Identifier: Apache-2.0
"""Lesson 11: ways, connections, sizes; and the rate at which requests come."""

from __future__ import annotations

import pandas as pd

from labkit.errors import check_choice
from labkit.lessons.serve import open_loop, rates
from labkit.lessons.serve.findings import compared, served
from labkit.lessons.serve.plots import plot
from labkit.lessons.serve.runs import TRANSPORTS, WAYS, usual_place
from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel
from labkit.running.pinning import PINNINGS

__all__ = ["panel"]

SUBJECTS = ("ways", "offered rate")
CONNECTIONS = [1, 4, 16, 64, 256, 1000]
SIZES = [64, 1024, 4096, 16384, 65536]
SHARES = [0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.2, 1.5]


def panel(subject: str = "ways") -> Panel:
    """Return a panel of lesson 11: "ways" or "offered rate"."""
    check_choice("subject", subject, SUBJECTS)
    if subject == "offered rate":
        return Panel(
            "Requests that come when they like",
            controls={
                "way": controls.choose("arm", WAYS, "epoll", label="way"),
                "share": controls.several("share", SHARES, [0.4, 0.8, 1.2], label="offered rate"),
                "connections": controls.choose("connections", CONNECTIONS, 64),
                "message_bytes": controls.choose("message_bytes", SIZES, 64),
                "pinning": controls.choose("pinning", PINNINGS, usual_place()),
                "transport": controls.choose("transport", TRANSPORTS),
                "slices": controls.whole("slices", 6, 2, 100),
                "slice_s": controls.real("elapsed_s", 0.3, 0.01, 10, label="seconds per slice"),
            },
            measure=open_loop.offered_load,
            plot=plot,
            finding=served,
        )
    return Panel(
        "Ways to serve",
        controls={
            "way": controls.several("arm", WAYS, ["epoll", "multishot"], label="ways"),
            "connections": controls.several("connections", CONNECTIONS, [16]),
            "message_bytes": controls.several("message_bytes", SIZES, [64]),
            "pinning": controls.choose("pinning", PINNINGS, usual_place()),
            "transport": controls.choose("transport", TRANSPORTS),
            "slices": controls.whole("slices", 6, 2, 100),
        },
        measure=rates.measure,
        plot=plot,
        finding=_rates,
        table=rates.medians,
    )


def _rates(frame: pd.DataFrame) -> str:
    if frame["arm"].nunique() == 2:  # one way, and the same again
        return "Choose a second way to compare with."
    return " ".join(compared(frame, "requests_per_s", "requests per second"))
