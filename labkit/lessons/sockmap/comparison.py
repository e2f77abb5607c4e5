# SPDX-License-Identifier: Apache-2.0
"""Lesson 09: how long a message takes to another process of this machine, by TCP, by the shortcut, by a Unix socket.

Rests on the workloads ping_pong.c and stream.c, and on c/bpf/sockmap.c. Each slice is a new pair of processes with new
connections. The arms differ in one thing only: for the shortcut the pair is put in the lab's cgroup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_bool, check_choice, check_float, check_int, check_seed
from labkit.lessons.sockmap.shortcut import MAX_SOCKETS, Shortcut
from labkit.lessons.sockmap.slices import (
    AGAIN,
    ARMS,
    SHORTCUT,
    Pair,
    Setting,
    check_sizes,
    each_setting,
    in_words,
    ping_pong,
    stream,
)
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.pinning import SAME, check_pinning
from labkit.running.progress import Progress, Tick
from labkit.running.workload import Workload
from labkit.stats import settings, trial

__all__ = ["integrity", "measure", "medians", "proof", "ratios", "throughput"]


def measure(
    message_bytes: int | Sequence[int] = (1, 64, 1024, 16384, 65536),
    pinning: str | Sequence[str] | None = None,
    *,
    connections: int = 1,
    ipv6: bool = False,
    slices: int | None = None,
    slice_s: float | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Time round trips by TCP, by TCP with the shortcut and by a Unix socket, in interleaved slices.

    Parameters
    ----------
    message_bytes : one size or several, each 1 to 1 MiB; the same both ways.
    pinning : "same core", "cross core" or both; None takes what this machine can do.
    connections : how many the pair uses in turn, 1 to 1024.
    ipv6 : TCP over ::1 instead of 127.0.0.1.
    slices : slices of each arm, 2 to 1000; None is 8 (3 with LABKIT_QUICK=1).
    slice_s : how long each lasts, 0.005 to 60 seconds; None is 0.1 (0.02 with LABKIT_QUICK=1).
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per slice: arm, slice, pinning, message_bytes, rtt_ns (mean round trip), p50_ns, p99_ns (of at least 1000
    round trips), round_trips, data_segments (that TCP sent for the client, as its TCP_INFO says), messages (both ways,
    with greetings and warm-up), redirects, misses, lo_packets, lo_bytes, cpu_ns_per_message and switches_per_message
    (of both processes), client_cpu, server_cpu. The arm "TCP + sockmap (again)" shows the noise.

    Raises
    ------
    BadArgument : before anything is started.
    Missing : no cgroup v2 to write to, no sockmap in this kernel, or "cross core" asked of one CPU.
    """
    wanted = _settings(message_bytes, pinning)
    ipv6 = check_bool("ipv6", ipv6)
    connections = check_int("connections", connections, 1, 1024, "connections")
    slices = trial.check_slices(slices, 8, 3)
    slice_s = check_float("slice_s", quick(0.1, 0.02) if slice_s is None else slice_s, 0.005, 60, "seconds")
    seed = check_seed(seed)
    options = ["--connections", str(connections), "--seconds", str(slice_s)]

    with exclusive("lesson 09: round trips", progress) as report, Shortcut() as cut:

        def run(arm: str, setting: Setting, tick: Tick) -> dict[str, Any]:
            return ping_pong(Pair(arm, **setting, options=options, ipv6=ipv6), cut, tick)

        made = each_setting(wanted, run, slices=slices, seed=seed, progress=report)
    return schema.frame(made, **provenance(command=["ping_pong", *options], ipv6=ipv6, baseline=SHORTCUT))


def throughput(
    message_bytes: int | Sequence[int] = (64, 1024, 16384, 65536),
    pinning: str | Sequence[str] | None = None,
    *,
    connections: int = 1,
    ipv6: bool = False,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Time a stream of messages, one way, by each of the three, in interleaved slices.

    Takes what `measure` takes, without slice_s: a slice is 40,000 messages, or 10^8 bytes if that is less.

    Returns one row per slice: arm, slice, pinning, message_bytes, bytes_per_s, sent_bytes, messages, redirects, misses,
    lo_packets, lo_bytes, cpu_ns_per_message, switches_per_message.
    """
    wanted = _settings(message_bytes, pinning)
    ipv6 = check_bool("ipv6", ipv6)
    connections = check_int("connections", connections, 1, 1024, "connections")
    slices = trial.check_slices(slices, 8, 3)
    seed = check_seed(seed)
    options = ["--connections", str(connections)]

    with exclusive("lesson 09: streams", progress) as report, Shortcut() as cut:

        def run(arm: str, setting: Setting, tick: Tick) -> dict[str, Any]:
            total = min(100_000_000, setting["message_bytes"] * 40_000) // quick(1, 10)
            more = [*options, "--total-bytes", str(total)]
            return stream(Pair(arm, **setting, options=more, ipv6=ipv6), cut, tick)

        made = each_setting(wanted, run, slices=slices, seed=seed, progress=report)
    return schema.frame(made, **provenance(command=["stream", *options], ipv6=ipv6, baseline=SHORTCUT))


def ratios(frame: pd.DataFrame, column: str = "p50_ns", baseline: str = SHORTCUT) -> pd.DataFrame:
    """Return how many times as fast as `baseline` each arm is, with the 95 % interval, for each setting measured.

    A ratio above 1 always means faster: of times (columns in ns) the inverse is compared, of rates the rate.

    Parameters
    ----------
    frame : from `measure`, `throughput` or `servers.measure`.
    column : what to compare, such as "p50_ns" (round trips, undisturbed), "rtt_ns", "bytes_per_s", "requests_per_s".

    Returns a frame with the setting (pinning, and message_bytes or pipeline), arm, ratio, low, high, slices;
    `attrs["warnings"]` says if the machine was noisy.
    """
    check_choice("column", column, list(frame.columns))
    speed = 1 / frame[column] if column.endswith("_ns") else frame[column]
    return settings.ratios(_in_order(frame.assign(value=speed)), _setting_of(frame), baseline, in_words)


def medians(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per setting and arm: the medians of its slices, in the columns of `frame` without slice."""
    kept = [*_setting_of(frame), "arm"]
    numbers = [name for name in frame if name not in (*kept, "slice")]
    return schema.derived(_in_order(frame).groupby(kept, as_index=False, sort=False)[numbers].median(), frame)


def _setting_of(frame: pd.DataFrame) -> list[str]:
    """Return the columns that hold for all arms of a comparison."""
    return [name for name in ("pinning", "message_bytes", "pipeline") if name in frame]


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each setting arm by arm: the arms as `ARMS` has them, the one against itself last."""
    each = frame[_setting_of(frame)].drop_duplicates().reset_index(drop=True).reset_index(names="_setting")
    places = {arm: place for place, arm in enumerate((*ARMS, AGAIN))}
    numbered = frame.merge(each, how="left").set_index(frame.index).assign(_arm=frame["arm"].map(places))
    return frame.loc[numbered.sort_values(["_setting", "_arm"], kind="stable").index]


def proof(round_trips: int = 2000, *, progress: Progress | None = None) -> pd.DataFrame:
    """Run the same ping-pong by each of the three while the shortcut is on, and report where the messages went.

    Parameters
    ----------
    round_trips : how many, 1 to 1,000,000.

    Returns one row per arm ("TCP" is a pair outside the cgroup): arm, round_trips, messages (two per round trip, and
    one greeting), redirects, misses, data_segments, lo_packets, lo_bytes.
    """
    round_trips = check_int("round_trips", round_trips, 1, 1_000_000, "round trips")
    options = ["--round-trips", str(round_trips), "--warm-up", "0"]
    with exclusive("lesson 09: where the messages go", progress) as report, Shortcut() as cut:

        def run(arm: str, tick: Tick) -> dict[str, Any]:
            return ping_pong(Pair(arm, SAME, 64, options), cut, tick)

        found = trial.once({arm: arm for arm in ARMS}, run, progress=report)
    columns = ("round_trips", "messages", "redirects", "misses", "data_segments", "lo_packets", "lo_bytes")
    rows = [{"arm": arm, **{name: each[name] for name in columns}} for arm, each in found.items()]
    return schema.frame(rows, **provenance(command=["ping_pong", *options]))


def integrity(
    total_bytes: int = 100_000_000,
    connections: int = 64,
    *,
    max_sockets: int = MAX_SOCKETS,
    ipv6: bool = False,
    seed: int = 1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Send bytes over many connections by the shortcut and compare each with the one that was sent.

    Parameters
    ----------
    total_bytes : how many, 1 to 4 GiB, in messages of random sizes up to 64 KiB.
    connections : how many at a time, 1 to 1024; each is closed after about 100,000 bytes and another opened, and every
        second one is half closed first.
    max_sockets : room in the map, 2 to 65536: with less than two for each connection, some stay plain TCP.
    seed : of the sizes, at least 1.

    Returns a frame with one row: sent_bytes, received_bytes, wrong_bytes, opened_connections, messages, redirects,
    misses, inserts, insert_failures.
    """
    total_bytes = check_int("total_bytes", total_bytes, 1, 4 << 30, "bytes")
    ipv6 = check_bool("ipv6", ipv6)
    connections = check_int("connections", connections, 1, 1024, "connections")
    max_sockets = check_int("max_sockets", max_sockets, 2, MAX_SOCKETS, "sockets")
    seed = check_int("seed", seed, 1, 2**31 - 1)
    options = ["--total-bytes", str(total_bytes), "--connections", str(connections), "--random-sizes", "--check"]
    options += ["--connection-bytes", "100000", "--seed", str(seed), "--transport", "tcp6" if ipv6 else "tcp"]
    with exclusive("lesson 09: is each byte there", progress) as report, Shortcut(max_sockets) as cut:
        with Workload("stream", options) as run:
            cut.cgroup.add(run.pid)
            result = run.go(timeout_s=600, tick=lambda _: report(0.5, "comparing"))
        counted = cut.counts()
    own = ("sent_bytes", "received_bytes", "wrong_bytes", "opened_connections", "messages")
    row = {name: result[name] for name in own}
    row |= {name: getattr(counted, name) for name in ("redirects", "misses", "inserts", "insert_failures")}
    return schema.frame([row], **provenance(command=["stream", *options]))


def _settings(message_bytes: int | Sequence[int], pinning: str | Sequence[str] | None) -> list[Setting]:
    sizes = check_sizes(message_bytes)
    return [{"pinning": place, "message_bytes": size} for place in check_pinning(pinning) for size in sizes]
