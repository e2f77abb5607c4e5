# SPDX-License-Identifier: Apache-2.0
"""Lesson 09 on a program that nobody here wrote: an unmodified Redis server, with and without the shortcut.

Two servers run at the same time, each in its own cgroup with its clients; the shortcut is on in one of the two.
Rests on the distribution's redis-server and redis-benchmark, which speak plain TCP over 127.0.0.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_int, check_ints, check_seed
from labkit.lessons._redis.server import Server, check_installed, redis_version
from labkit.lessons.sockmap.shortcut import Shortcut, lo_traffic
from labkit.lessons.sockmap.slices import SHORTCUT, UNIX, Setting, each_setting
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.cgroup import Cgroup
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.pinning import check_pinning
from labkit.running.progress import Progress, Tick
from labkit.stats import trial

__all__ = ["measure"]


def measure(
    pipeline: int | Sequence[int] = (1, 16),
    pinning: str | Sequence[str] | None = None,
    *,
    clients: int = 50,
    requests: int | None = None,
    value_bytes: int = 64,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let redis-benchmark ask a Redis server by TCP, by TCP with the shortcut and by a Unix socket, interleaved.

    Parameters
    ----------
    pipeline : how many requests a client sends at once, 1 to 1000; one number or several.
    pinning : where server and clients run: "same core", "cross core" or both; None takes what this machine can do.
    clients : connections, 1 to 1000.
    requests : GETs in a slice, 100 to 100,000,000; None is 12,000 times `pipeline` (2,000 with LABKIT_QUICK=1).
    value_bytes : size of the value that is read, 1 to 1 MiB.
    slices : slices of each arm, 2 to 1000; None is 6 (2 with LABKIT_QUICK=1).
    seed : of the order of the slices.

    Returns
    -------
    One row per slice: arm, slice, pinning, pipeline, requests_per_s, p50_ns, p99_ns (as redis-benchmark reports them),
    requests, redirects, misses, lo_packets, lo_bytes. `attrs["server"]` is what the server says it is.

    Raises
    ------
    BadArgument; Missing : Redis is not installed, or the shortcut is not available here.
    """
    batches = check_ints("pipeline", pipeline, 1, 1000, "requests")
    places = check_pinning(pinning)
    clients = check_int("clients", clients, 1, 1000, "connections")
    if requests is not None:
        requests = check_int("requests", requests, 100, 100_000_000, "requests")
    value_bytes = check_int("value_bytes", value_bytes, 1, 1 << 20, "bytes")
    slices = trial.check_slices(slices, 6, 2)
    seed = check_seed(seed)
    check_installed()
    settings = [{"pinning": place, "pipeline": batch} for place in places for batch in batches]
    options = ["-c", str(clients), "-d", str(value_bytes)]
    servers: dict[tuple[Cgroup, str], Server] = {}
    with (
        exclusive("lesson 09: Redis", progress) as report,
        run_folder() as folder,
        Shortcut() as cut,
        Cgroup() as plain,
        ExitStack() as running,
    ):

        def run(arm: str, setting: Setting, tick: Tick) -> dict[str, Any]:
            cgroup = cut.cgroup if arm == SHORTCUT else plain
            place, batch = setting["pinning"], setting["pipeline"]
            if (cgroup, place) not in servers:
                servers[cgroup, place] = running.enter_context(Server(cgroup, place, folder, options))
            total = requests or quick(12_000, 2_000) * batch
            before, lo_before = cut.counts(), lo_traffic()
            server, arguments = servers[cgroup, place], ["-t", "get", "-n", str(total), "-P", str(batch)]
            result = server.ask(arguments, by_file=arm == UNIX, tick=tick)
            counted, lo = cut.counts() - before, lo_traffic() - lo_before
            return {
                **result,
                "requests": total,
                "redirects": counted.redirects,
                "misses": counted.misses,
                "lo_packets": lo.packets,
                "lo_bytes": lo.bytes,
            }

        made = each_setting(settings, run, slices=slices, seed=seed, progress=report)
    facts = provenance(command=["redis-benchmark", "-t", "get", *options], baseline=SHORTCUT, server=redis_version())
    return schema.frame(made, **facts)
