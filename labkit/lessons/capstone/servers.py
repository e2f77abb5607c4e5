"""Lesson 10: watch a server under load: an unmodified Redis, asked by redis-benchmark, with and without a file.

How Redis keeps what it is told: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import Missing, check_choice, check_int, check_seed, several
from labkit.lessons._redis.server import Server, redis_version, why_not
from labkit.lessons.capstone.calls import SYNCS, Call, Calls, aim, call_rows, read_calls
from labkit.lessons.capstone.sqlite import in_memory
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.cgroup import Cgroup
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.pinning import CROSS, SAME
from labkit.running.progress import Progress, Tick, silent
from labkit.stats import trial

__all__ = ["APPEND_ONLY", "measure", "summary", "why_not"]

APPEND_ONLY = ("off", "no", "everysec", "always")
FILES = {".aof": "append-only file"}
VALUE_BYTES = 64


@dataclass(frozen=True)
class Load:
    """One way to ask a server. Raises BadArgument, naming the parameter."""

    pipeline: int
    clients: int
    append_only: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "pipeline", check_int("pipeline", self.pipeline, 1, 1000, "requests"))
        object.__setattr__(self, "clients", check_int("clients", self.clients, 1, 1000, "clients"))
        check_choice("append_only", self.append_only, APPEND_ONLY)

    @property
    def name(self) -> str:
        """What it is called in a frame: "50 clients, pipeline 16, sync: always"."""
        file = "" if self.append_only == "off" else f", sync: {self.append_only}"
        clients = "1 client" if self.clients == 1 else f"{self.clients} clients"
        return f"{clients}, pipeline {self.pipeline}{file}"

    @property
    def settings(self) -> list[str]:
        """The options of the server."""
        if self.append_only == "off":
            return ["--appendonly", "no"]
        return ["--appendonly", "yes", "--appendfsync", self.append_only]


@dataclass
class _Seen:
    calls: Calls = field(default_factory=dict)
    elapsed_s: float = 0.0
    requests: int = 0
    rates: list[float] = field(default_factory=list)  # requests a second, of each slice
    lost_events: int = 0


def measure(
    pipeline: int | Sequence[int] = (1, 16),
    clients: int | Sequence[int] = 50,
    append_only: str | Sequence[str] = "off",
    *,
    requests: int | None = None,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let redis-benchmark send SETs to a Redis server, and count and time every system call that the server makes.

    Parameters
    ----------
    pipeline : requests that a client sends at once, 1 to 1000; one number or several.
    clients : connections, 1 to 1000; one number or several.
    append_only : what the server writes to a file: "off" nothing; each SET, and a sync never by itself ("no"), once
        a second ("everysec"), before it answers ("always"); one or several.
    requests : in each slice, 100 to 10,000,000; None is 20,000, and 2,000 with a single client, who has to wait for
        each answer (2,000 and 500 in a hurry).
    slices : of each arm, 1 to 100, interleaved; None is 3 (1 in a hurry).
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a kind of call, for each arm: arm, pipeline, clients, append_only, call, file ("append-only file", or
    "–": sockets and the rest), count, calls_per_request, total_ns (of epoll_wait that is mostly waiting for
    requests), ns_per_request, p50_ns, p99_ns, written_bytes (none for calls that write nothing). `summary` makes one
    row an arm of it.

    Raises
    ------
    BadArgument; Missing : Redis is not installed, or BPF or a cgroup cannot be had here.
    """
    asked = product(several("pipeline", pipeline), several("clients", clients), several("append_only", append_only))
    loads = {load.name: load for load in (Load(*each) for each in asked)}
    if requests is not None:
        requests = check_int("requests", requests, 100, 10_000_000, "requests")
    slices = check_int("slices", _chosen(slices, 3, 1), 1, 100, "slices")
    seed = check_seed(seed)
    if why_not():
        what, _, fix = why_not().partition(": ")
        raise Missing(f"{what}.", fix)
    report = progress or silent
    place = CROSS if len(os.sched_getaffinity(0)) > 1 else SAME
    seen = {name: _Seen() for name in loads}
    servers: dict[str, Server] = {}
    with (
        exclusive("lesson 10: Redis", report),
        Program("capstone") as program,
        run_folder() as folder,
        Cgroup() as cgroup,
        ExitStack() as running,
    ):
        plan = trial.order(list(loads), slices, seed)
        for done, (_, name) in enumerate(plan):
            load = loads[name]
            if load.append_only not in servers:
                servers[load.append_only] = running.enter_context(_server(cgroup, place, folder, load))

            def tick(_: float, done: int = done, name: str = name) -> None:
                report(done / len(plan), name)

            total = requests or _enough(load)
            _ask(program, servers[load.append_only], load, total, seen[name], tick)
        lost = sum(each.lost_events for each in seen.values())
        facts = provenance(
            command=["redis-benchmark", *_options(load, total)], slices=slices, seed=seed,
            server=redis_version(), lost_events=lost, warnings=in_memory(folder),
        )  # fmt: skip
    report(1.0, "done")
    rows = [{**_setting(load), **row} for name, load in loads.items() for row in _rows(seen[name])]
    return schema.frame(rows, **facts, arms=[_sums(load, seen[name]) for name, load in loads.items()])


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what `measure` found, one row an arm.

    Columns: arm, requests, requests_per_s (by redis-benchmark), slowest_per_s and fastest_per_s (of the slices),
    calls_per_request, syncs_per_request.
    """
    rows = []
    for arm in frame.attrs["arms"]:
        own = frame[frame["arm"] == arm["arm"]]
        slowest, fastest = min(arm["rates"]), max(arm["rates"])
        rows.append(
            {
                "arm": arm["arm"],
                "requests": arm["requests"],
                # rounding may not put it outside of them
                "requests_per_s": min(max(arm["requests"] / arm["elapsed_s"], slowest), fastest),
                "slowest_per_s": slowest,
                "fastest_per_s": fastest,
                "calls_per_request": own["count"].sum() / arm["requests"],
                "syncs_per_request": own.loc[own["call"].isin(SYNCS), "count"].sum() / arm["requests"],
            }
        )
    made = schema.frame(rows)
    made.attrs = dict(frame.attrs)
    return made


# -- inside --------------------------------------------------------------------------------------


def _chosen(asked: int | None, usual: int, hurried: int) -> int:
    return asked if asked is not None else quick(usual, hurried)


def _enough(load: Load) -> int:
    """Return requests enough for a slice of some tenths of a second; a hurried one is shorter."""
    return _chosen(None, 2_000, 500) if load.clients == 1 else _chosen(None, 20_000, 2_000)


def _server(cgroup: Cgroup, place: str, folder: Path, load: Load) -> Server:
    own = folder / load.append_only
    own.mkdir()
    return Server(cgroup, place, own, ["-d", str(VALUE_BYTES)], load.settings)


def _options(load: Load, requests: int) -> list[str]:
    return ["-t", "set", "-n", str(requests), "-c", str(load.clients), "-P", str(load.pipeline)]


def _ask(program: Program, server: Server, load: Load, requests: int, seen: _Seen, tick: Tick) -> None:
    program.clear("begun", "kinds", "sums", "bars", "labkit_lost")
    aim(program, server.pid, FILES)
    program.attach()
    try:
        told = server.ask(_options(load, requests), tick=tick)
    finally:
        program.detach()
    for each, call in read_calls(program, FILES).items():
        seen.calls[each] = seen.calls.get(each, Call()) + call
    seen.rates.append(float(told["rps"]))
    seen.elapsed_s += requests / seen.rates[-1]
    seen.requests += requests
    seen.lost_events += program.lost_events


def _setting(load: Load) -> dict[str, Any]:
    return {
        "arm": load.name,
        "pipeline": load.pipeline,
        "clients": load.clients,
        "append_only": load.append_only,
    }


def _sums(load: Load, seen: _Seen) -> dict[str, Any]:
    return {**_setting(load), "requests": seen.requests, "elapsed_s": seen.elapsed_s, "rates": seen.rates}


def _rows(seen: _Seen) -> list[dict[str, Any]]:
    return call_rows(seen.calls, "request", seen.requests)
