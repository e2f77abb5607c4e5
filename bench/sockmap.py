# SPDX-License-Identifier: Apache-2.0
"""The shortcut between local sockets against TCP and against a Unix socket, and with an unmodified Redis."""

from __future__ import annotations

from bench.figure import Figure, Step, ratio
from labkit.lessons import sockmap
from labkit.lessons.sockmap import servers
from labkit.lessons.sockmap.slices import SHORTCUT, TCP, UNIX
from labkit.machine.folders import quick
from labkit.running.pinning import SAME
from labkit.running.progress import Progress

__all__ = ["STEPS"]

VALUE = "p50_ns"  # the median round trip of a slice: one pause of the machine does not move it


def _round_trips(progress: Progress) -> list[Figure]:
    made = sockmap.measure((64, 65536), SAME, slices=quick(16, 2), slice_s=quick(0.1, 0.02), progress=progress)
    small, large = (made[made["message_bytes"] == size].reset_index(drop=True) for size in (64, 65536))
    return [
        ratio("sockmap.rtt.same.64", small, VALUE, TCP, SHORTCUT),
        ratio("sockmap.rtt.same.65536", large, VALUE, TCP, SHORTCUT),
        ratio("sockmap.rtt_vs_unix.same.64", small, VALUE, SHORTCUT, UNIX),
    ]


def _redis(progress: Progress) -> list[Figure]:
    made = servers.measure(1, SAME, slices=quick(10, 2), progress=progress)
    return [ratio("sockmap.redis", made, "requests_per_s", SHORTCUT, TCP, server=made.attrs["server"])]


STEPS = (
    Step(("sockmap.rtt.same.64", "sockmap.rtt.same.65536", "sockmap.rtt_vs_unix.same.64"), _round_trips, 24),
    Step(("sockmap.redis",), _redis, 20, ("redis-server", "redis-benchmark")),
)
