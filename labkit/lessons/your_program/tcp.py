# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: the round trips of a program's TCP connections (c/bpf/your_program_tcp.c)."""

from __future__ import annotations

import pandas as pd

from labkit.bpf.program import TRACING, Program
from labkit.lessons.your_program.look import Look, sorted_frame

__all__ = ["Tcp", "event_flags"]


def event_flags() -> dict[str, int]:
    """Return what this kernel's events do not have, as macros of the C file: the cookie of a socket."""
    try:
        has_cookie = "sock_cookie" in (TRACING / "events/tcp/tcp_probe/format").read_text()
    except OSError:
        has_cookie = True  # loading it says what is missing
    return {} if has_cookie else {"NO_COOKIE": 1}


class Tcp(Look):
    """Reads the kernel's own estimate at each segment; gives "tcp"."""

    views = ("tcp",)

    def __init__(self) -> None:
        super().__init__(Program("your_program_tcp", flags=event_flags()))

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return one row per connection on which something came."""
        rows = [
            {
                "local_port": one["local_port"],
                "remote_port": one["remote_port"],
                "count": one["segments"],
                "rtt_ns": 1000 * one["last_us"],
                "mean_ns": 1000 * one["total_us"] / one["segments"],
                "min_ns": 1000 * one["min_us"],
                "max_ns": 1000 * one["max_us"],
            }
            for one in self.program.hash("connections").values()
            if one["segments"]
        ]
        names = ["local_port", "remote_port", "count", "rtt_ns", "mean_ns", "min_ns", "max_ns"]
        return {"tcp": sorted_frame(rows, names, "count")}
