# SPDX-License-Identifier: Apache-2.0
"""Lesson 10: a server under load, an unmodified Redis, asked by redis-benchmark, with and without a file.

Rates and latencies come from slices that nothing watches; the server's calls come from a watched slice of the same
load. How Redis keeps its data: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import check_choice, check_int, check_seed, several
from labkit.lessons._redis.server import Server, check_installed, redis_version
from labkit.lessons.capstone.arms import (
    REQUEST,
    arm_ratios,
    call_table,
    is_watched,
    plain,
    planned,
    slice_frame,
    whole_runs,
)
from labkit.lessons.capstone.calls import NO_FILE, SYNCS, Calls, call_rows, read_calls, watching
from labkit.lessons.capstone.sqlite import memory_warnings
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.cgroup import Cgroup
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.pinning import CROSS, SAME
from labkit.running.progress import Progress, Tick
from labkit.stats import trial

__all__ = ["APPEND_ONLY", "measure", "ratios", "summary"]

APPEND_ONLY = ("off", "no", "everysec", "always")
FILES = {".aof": "append-only file"}
VALUE_BYTES = 64


@dataclass(frozen=True)
class RedisLoad:
    """How a server is asked. Raises BadArgument, naming the parameter."""

    pipeline: int
    clients: int
    append_only: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "pipeline", check_int("pipeline", self.pipeline, 1, 1000, "requests"))
        object.__setattr__(self, "clients", check_int("clients", self.clients, 1, 1000, "clients"))
        check_choice("append_only", self.append_only, APPEND_ONLY)

    @property
    def name(self) -> str:
        """What it is called in a frame: "50 clients with pipeline 16 and sync always"."""
        file = "" if self.append_only == "off" else f" and sync {self.append_only}"
        clients = "1 client" if self.clients == 1 else f"{self.clients} clients"
        return f"{clients} with pipeline {self.pipeline}{file}"

    @property
    def settings(self) -> list[str]:
        """The options of the server."""
        if self.append_only == "off":
            return ["--appendonly", "no"]
        return ["--appendonly", "yes", "--appendfsync", self.append_only]


@dataclass(frozen=True)
class _Answers:
    """What one slice came to: in redis-benchmark's words, and the server's calls if it was watched."""

    requests: int
    requests_per_s: float
    p50_ns: float
    p99_ns: float
    calls: Calls
    lost_events: int


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
    """Let redis-benchmark send SETs to a Redis server: compare rates unwatched, and count its calls in a watched slice.

    Parameters
    ----------
    pipeline : requests that a client sends at once, 1 to 1000; one number or several.
    clients : connections, 1 to 1000; one number or several.
    append_only : what the server writes to a file: "off" nothing; each SET, and a sync never by itself ("no"), once
        a second ("everysec"), before it answers ("always"); one or several.
    requests : in each slice, 100 to 10,000,000; None is 20,000, and 1,000 with a single client, who has to wait for
        each answer (2,000 and 500 with LABKIT_QUICK=1); a quarter of these with "always".
    slices : of each arm, 2 to 1000, interleaved, unwatched and as many watched; the first arm runs unwatched a second
        time in each round. None is 6 (2 with LABKIT_QUICK=1).
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per slice: arm, pipeline, clients, append_only, watched, slice, call ("(request)"), file ("–"), count (of
    requests), requests, requests_per_s, p50_ns and p99_ns (of an answer's latency, as redis-benchmark reports them).
    And one row per kind of call of the server, in each watched slice: call, file ("append-only file", or "–": sockets
    and the rest), count, calls_per_request, total_ns (of epoll_wait or epoll_pwait mostly waiting for requests),
    ns_per_request, mean_ns, p50_ns, p99_ns (of a call), written_bytes (of calls that write).
    `summary` makes one row per arm of it, `ratios` compares the arms, and `call_table` adds up the calls.

    Raises
    ------
    BadArgument; Missing : Redis is not installed, or BPF or cgroups are not available here.
    """
    asked = product(several("pipeline", pipeline), several("clients", clients), several("append_only", append_only))
    loads = {load.name: load for load in (RedisLoad(*each) for each in asked)}
    if requests is not None:
        requests = check_int("requests", requests, 100, 10_000_000, "requests")
    slices, seed = trial.check_slices(slices, 6, 2), check_seed(seed)
    check_installed()
    place = CROSS if len(os.sched_getaffinity(0)) > 1 else SAME
    servers: dict[str, Server] = {}
    with (
        exclusive("lesson 10: Redis", progress) as report,
        Program("capstone") as program,
        run_folder() as folder,
        Cgroup() as cgroup,
        ExitStack() as running,
    ):

        def run(arm: str, tick: Tick) -> _Answers:
            load = loads[plain(arm)]
            if load.append_only not in servers:
                servers[load.append_only] = running.enter_context(_server(cgroup, place, folder, load))
            watch = program if is_watched(arm) else None
            return _ask(servers[load.append_only], load, requests or _enough(load), tick, watch)

        taken = trial.interleaved(planned(list(loads)), run, slices=slices, seed=seed, progress=report)
        last = loads[plain(taken.taken[-1].arm)]
        facts = provenance(
            command=["redis-benchmark", *_options(last, requests or _enough(last))],
            slices=slices,
            server=redis_version(),
            lost_events=sum(each.value.lost_events for each in taken.taken),
            warnings=memory_warnings(folder),
        )
    return slice_frame(taken, list(loads), lambda arm, answers: _rows(loads[arm], answers), **facts)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what `measure` found, one row per arm.

    Columns: arm, requests (in each slice); from the unwatched slices requests_per_s (their median, with its 95 %
    interval low_per_s to high_per_s), p50_ns, p99_ns (medians of the slices); from the watched slices
    calls_per_request, syncs_per_request.
    """
    rows = []
    calls = call_table(frame)
    for arm, runs in whole_runs(frame).groupby("arm", sort=False):
        if str(arm).endswith(trial.AGAIN):
            continue
        own = calls[calls["arm"] == arm]
        middle, low, high = trial.median_interval(runs["requests_per_s"].tolist())
        rows.append(
            {
                "arm": arm,
                "requests": runs["requests"].iloc[0],
                "requests_per_s": middle,
                "low_per_s": low,
                "high_per_s": high,
                **{name: runs[name].median() for name in ("p50_ns", "p99_ns")},
                "calls_per_request": own["calls_per_request"].sum(),
                "syncs_per_request": own.loc[own["call"].isin(SYNCS), "calls_per_request"].sum(),
            }
        )
    return schema.derived(rows, frame)


def ratios(frame: pd.DataFrame, baseline: str | None = None, column: str = "requests_per_s") -> pd.DataFrame:
    """Return each arm's rate (or "p50_ns", "p99_ns"), times that of `baseline` (None: the first), with its interval."""
    return arm_ratios(frame, check_choice("column", column, ("requests_per_s", "p50_ns", "p99_ns")), baseline)


# -- inside --------------------------------------------------------------------------------------


def _enough(load: RedisLoad) -> int:
    """Return a number of requests for a slice of some tenths of a second; LABKIT_QUICK=1 takes fewer."""
    usual = quick(1_000, 500) if load.clients == 1 else quick(20_000, 2_000)
    return usual // 4 if load.append_only == "always" else usual


def _server(cgroup: Cgroup, place: str, folder: Path, load: RedisLoad) -> Server:
    own = folder / load.append_only
    own.mkdir()
    return Server(cgroup, place, own, ["-d", str(VALUE_BYTES)], load.settings)


def _options(load: RedisLoad, requests: int) -> list[str]:
    return ["-t", "set", "-n", str(requests), "-c", str(load.clients), "-P", str(load.pipeline)]


def _ask(server: Server, load: RedisLoad, requests: int, tick: Tick, watch: Program | None) -> _Answers:
    with watching(watch, server.pid, FILES) if watch else nullcontext():
        result = server.ask(_options(load, requests), tick=tick)
    calls = read_calls(watch, FILES) if watch else {}
    return _Answers(requests, **result, calls=calls, lost_events=watch.lost_events if watch else 0)


def _rows(load: RedisLoad, answers: _Answers) -> list[dict[str, Any]]:
    """Return the row of a whole slice, and those of the calls in it if it was watched."""
    total_ns = round(1e9 * answers.requests / answers.requests_per_s)
    whole = {
        "call": REQUEST,
        "file": NO_FILE,
        "count": answers.requests,
        "requests_per_s": answers.requests_per_s,
        "total_ns": total_ns,
        "ns_per_request": total_ns / answers.requests,
        "p50_ns": answers.p50_ns,
        "p99_ns": answers.p99_ns,
    }
    kept = {name: getattr(load, name) for name in ("pipeline", "clients", "append_only")}
    kept["requests"] = answers.requests
    return [kept | whole, *(kept | row for row in call_rows(answers.calls, "request", answers.requests))]
