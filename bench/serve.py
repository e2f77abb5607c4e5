# SPDX-License-Identifier: Apache-2.0
"""The servers of lesson 11: epoll against nginx, both asked by wrk; and multishot against epoll."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench import nginx, peers
from bench.figure import Figure, Step, ratio, rounds
from labkit.lessons import serve
from labkit.lessons.serve.others import ask
from labkit.lessons.serve.runs import Setting, serving
from labkit.machine.folders import quick
from labkit.running.pinning import CROSS, SAME, cpus_for
from labkit.running.progress import Progress

__all__ = ["STEPS"]

CONNECTIONS, BODY_BYTES, SECONDS = 64, 64, 1
OURS, PEER = "epoll", "nginx"


def _against_nginx(name: str, place: str, slices: int, progress: Progress) -> list[Figure]:
    """Compare the two on one CPU with wrk, where each microsecond counts, or with wrk on another."""
    client_cpu, server_cpu = cpus_for(place)
    setting = Setting(CONNECTIONS, BODY_BYTES, place)

    def by_wrk(address: str) -> dict[str, float]:
        return {"requests_per_s": ask(address, CONNECTIONS, SECONDS, client_cpu)["requests_per_s"]}

    def ours() -> dict[str, float]:
        with serving(OURS, setting, protocol="http", seconds=60) as (server, address):
            server.start()
            return by_wrk(address)

    with nginx.served(server_cpu, BODY_BYTES) as its_address:
        arms: dict[str, Callable[[], dict[str, float]]] = {OURS: ours, PEER: lambda: by_wrk(its_address)}
        frame = rounds(f"bench: {name}", arms, baseline=PEER, slices=quick(slices, 2), progress=progress)
    return [ratio(name, frame, "requests_per_s", OURS, peer=peers.version(peers.nginx()))]


def _multishot(name: str, place: str, progress: Progress) -> list[Figure]:
    made = serve.measure(
        [OURS, "multishot"], 256, pinning=place, slices=quick(6, 2), slice_s=quick(0.3, 0.05), progress=progress
    )
    return [ratio(name, made, "requests_per_s", "multishot", OURS)]


STEPS = (
    Step(("serve.wrk",), partial(_against_nginx, "serve.wrk", SAME, 8), 24, ("wrk",)),
    Step(("serve.wrk.cross",), partial(_against_nginx, "serve.wrk.cross", CROSS, 6), 18, ("wrk",)),
    Step(("serve.uring",), partial(_multishot, "serve.uring", SAME), 6),
    Step(("serve.uring.cross",), partial(_multishot, "serve.uring.cross", CROSS), 6),
)
