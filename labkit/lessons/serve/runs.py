# SPDX-License-Identifier: Apache-2.0
"""Lesson 11, one run: a server, clients that ask it, and what was seen.

Rests on c/workloads/serve/ and c/workloads/serve_load/. Rates, latencies and CPU times come from runs with nothing
attached; system calls and sleeps come from separate runs, watched by c/bpf/serve.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labkit.bpf.program import Program
from labkit.errors import WorkloadError, check_choice, check_choices, check_int, check_ints
from labkit.lessons._io.watch import lacking, watching
from labkit.running.pinning import CROSS, SAME, check_pinning, cpus_for
from labkit.running.progress import Tick
from labkit.running.workload import Workload
from labkit.stats.histogram import Counts, from_buckets

__all__ = [
    "BASELINE",
    "CALLS",
    "EVENTS",
    "MOST_BYTES",
    "MOST_CONNECTIONS",
    "TRANSPORTS",
    "WAYS",
    "Answered",
    "Setting",
    "attached",
    "call_flags",
    "check_setting",
    "check_settings",
    "check_ways",
    "run_once",
    "serving",
    "usual_place",
]

WAYS = ("threads", "epoll", "uring", "multishot", "registered", "zerocopy")
BASELINE = "epoll"
TRANSPORTS = ("tcp", "unix")
MOST_CONNECTIONS, MOST_BYTES = 1000, 65536

# enum event of c/bpf/serve.c
CALLS = ("accept4", "recvfrom", "sendto", "epoll_wait", "epoll_ctl", "io_uring_enter")
EVENTS = (*CALLS, "sleep", "preempted", "given to a worker")

_ADDRESS = re.compile(r"listening on (\S+)")


@dataclass(frozen=True)
class Setting:
    """What holds for all arms of a comparison."""

    connections: int
    message_bytes: int = 64
    pinning: str = CROSS
    transport: str = "tcp"

    @property
    def columns(self) -> dict[str, Any]:
        """The setting as columns of a frame."""
        return {
            "pinning": self.pinning,
            "transport": self.transport,
            "connections": self.connections,
            "message_bytes": self.message_bytes,
        }


@dataclass(frozen=True)
class Answered:
    """One run: what the server and the clients report, and what the kernel saw (None: nobody watched)."""

    server: dict[str, Any]
    clients: dict[str, Any]
    kernel: dict[str, int] | None
    lost_events: int
    command: list[str]

    @property
    def latency(self) -> Counts:
        """Histogram of the latencies, in ns, from when a request was due."""
        return from_buckets(self.clients["latency_ns"]["buckets"])

    @property
    def service(self) -> Counts:
        """Histogram of the latencies, in ns, from when a request was sent."""
        return from_buckets(self.clients["service_ns"]["buckets"])

    @property
    def requests(self) -> int:
        """How many requests were answered, every byte compared."""
        return int(self.clients["answered"])

    @property
    def requests_per_s(self) -> float:
        """Answers per second."""
        return float(self.requests / self.clients["elapsed_s"])

    @property
    def cpu_ns_per_request(self) -> float:
        """CPU time of the server alone, per request."""
        return float(self.server["server"]["cpu_ns"] / max(self.requests, 1))

    @property
    def own_calls(self) -> int:
        """How many system calls the server believes it made to serve (those of `CALLS`)."""
        return sum(self.server["calls"].get(call, 0) for call in CALLS)


def run_once(
    way: str,
    setting: Setting,
    *,
    requests: int = 0,
    seconds: float = 0.0,
    rate: int = 0,
    protocol: str = "echo",
    more: Sequence[str] = (),
    program: Program | None = None,
    tick: Tick | None = None,
) -> Answered:
    """Start a server, let clients ask it, end it, and compare what both report.

    Parameters
    ----------
    requests, seconds : how long; one of them.
    rate : requests that are due per second (open loop); 0: each connection asks again when it has its answer.
    protocol : "echo" or "http".
    more : further options of the clients.
    program : watches the server, from `attached` or a learner's; its maps are cleared first. None: nothing is attached.

    Raises
    ------
    WorkloadUnable : this kernel lacks what the way needs.
    WorkloadError : a byte was wrong, or the server counts other requests than the clients.
    """
    client_cpu, _ = cpus_for(setting.pinning)
    with serving(way, setting, protocol=protocol, seconds=120 + 10 * seconds) as (server, address):
        if program is not None:
            program.clear(*(name for name in program.map_names if name not in ("labkit_target", "labkit_pids")))
            program.aim(pid=server.pid)
        server.start()
        how_long = ["--requests", str(requests)] if requests else ["--seconds", str(seconds)]
        wanted = ["--protocol", protocol, "--message-bytes", str(setting.message_bytes), "--rate", str(rate)]
        wanted += ["--connections", str(setting.connections), *how_long, *more]
        with Workload("serve_load", ["--address", address, *wanted], cpu=client_cpu) as clients:
            told = clients.go(timeout_s=60 + 10 * seconds + requests / 100, tick=tick)
        server.stop()
        counted = server.result()
    _compare(told, counted)
    kernel, lost = _seen(program)
    return Answered(counted, told, kernel, lost, server.command)


@contextmanager
def serving(way: str, setting: Setting, *, protocol: str, seconds: float) -> Iterator[tuple[Workload, str]]:
    """Have a server during a block, ready to start; yield it and its address, such as "127.0.0.1:4711" or "@00005".

    Parameters
    ----------
    seconds : after which it ends in any case.
    """
    _, server_cpu = cpus_for(setting.pinning)
    options = ["--way", way, "--transport", setting.transport, "--protocol", protocol, "--seconds", str(seconds)]
    with Workload("serve", [*options, "--message-bytes", str(setting.message_bytes)], cpu=server_cpu) as server:
        found = _ADDRESS.search(server.stderr)
        assert found is not None, server.stderr
        yield server, found[1]


def _compare(told: dict[str, Any], counted: dict[str, Any]) -> None:
    """Raise where a byte was wrong, or where requests were lost or counted twice."""
    if told["wrong_bytes"]:
        raise WorkloadError(f"{told['wrong_bytes']} bytes came back wrong.", "this is a bug of the lab: report it")
    apart = counted["requests"] - told["answered"]
    if not 0 <= apart <= told["reset_visits"]:  # a visitor that resets may have been answered
        raise WorkloadError(
            f"The server counted {counted['requests']} requests, the clients {told['answered']}.",
            "this is a bug of the lab: report it",
        )


def _seen(program: Program | None) -> tuple[dict[str, int] | None, int]:
    if program is None or "seen" not in program.map_names:
        return None, 0
    values = program.counters("seen")
    return {event: int(value) for event, value in zip(EVENTS, values, strict=True)}, program.lost_events


@contextmanager
def attached() -> Iterator[Program]:
    """Attach c/bpf/serve.c during a block and yield it, for `run_once`."""
    with watching("serve", call_flags, None) as program:
        assert program is not None  # without warnings, what is missing is an error
        yield program


def call_flags() -> dict[str, int]:
    """Return what this kernel does not have, as macros of the C file."""
    uring = "io_uring/io_uring_queue_async_work"
    return lacking({"NO_EPOLL_WAIT": "syscalls/sys_enter_epoll_wait", "NO_IO_URING": uring})


def usual_place() -> str:
    """Return where server and clients run if nobody says: on two cores if this process may use two, else on one."""
    return check_pinning(None)[-1]


def check_ways(way: object) -> list[str]:
    """Return one way or several as a list, or raise `BadArgument`."""
    return check_choices("way", way, WAYS)


def check_setting(
    connections: object, message_bytes: object, pinning: object = None, transport: object = "tcp"
) -> Setting:
    """Return one setting, or raise `BadArgument`; the parameters are as of `check_settings`."""
    count = check_int("connections", connections, 1, MOST_CONNECTIONS, "connections")
    size = check_int("message_bytes", message_bytes, 1, MOST_BYTES, "bytes")
    return Setting(count, size, _place(pinning), check_choice("transport", transport, TRANSPORTS))


def check_settings(connections: object, message_bytes: object, pinning: object, transport: object) -> list[Setting]:
    """Return the settings: each number of connections with each message size, or raise `BadArgument`.

    Parameters
    ----------
    pinning : "same core", "cross core", or None: `usual_place`.
    """
    counts = check_ints("connections", connections, 1, MOST_CONNECTIONS, "connections")
    sizes = check_ints("message_bytes", message_bytes, 1, MOST_BYTES, "bytes")
    wanted = check_choice("transport", transport, TRANSPORTS)
    place = _place(pinning)
    return [Setting(count, size, place, wanted) for size in sizes for count in counts]


def _place(pinning: object) -> str:
    return usual_place() if pinning is None else check_pinning(check_choice("pinning", pinning, (SAME, CROSS)))[0]
