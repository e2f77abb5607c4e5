# SPDX-License-Identifier: Apache-2.0
"""Lesson 09, one slice at a time: a pair of processes that talk, where they run, by which way, and what was seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from labkit.errors import check_ints
from labkit.lessons.sockmap.shortcut import Shortcut, lo_traffic
from labkit.running.pinning import cpus_for
from labkit.running.progress import Progress, Tick, part
from labkit.running.workload import Workload
from labkit.stats import trial
from labkit.stats.histogram import from_buckets, p99, quantile
from labkit.units import si_bytes

__all__ = [
    "AGAIN",
    "ARMS",
    "SHORTCUT",
    "TCP",
    "UNIX",
    "Pair",
    "Setting",
    "check_sizes",
    "each_setting",
    "in_words",
    "ping_pong",
    "stream",
]

TCP, SHORTCUT, UNIX = "TCP", "TCP + sockmap", "Unix socket"
ARMS = (TCP, SHORTCUT, UNIX)
AGAIN = SHORTCUT + trial.AGAIN  # the A/A arm

MOST_BYTES = 1 << 20

Setting = dict[str, Any]  # what holds for all arms of a comparison: pinning, message_bytes …

_SEEN = ["messages", "redirects", "misses", "lo_packets", "lo_bytes"]


def check_sizes(message_bytes: int | Sequence[int]) -> list[int]:
    """Return message sizes as a list, or raise `BadArgument`."""
    return check_ints("message_bytes", message_bytes, 1, MOST_BYTES, "bytes")


def in_words(setting: Setting) -> str:
    """Return a setting in words: "same core, 64 B", "cross core, pipeline 16"."""
    size = f"pipeline {setting['pipeline']}" if "pipeline" in setting else si_bytes(setting["message_bytes"])
    return f"{setting['pinning']}, {size}"


def each_setting(
    settings: Sequence[Setting],
    run: Callable[[str, Setting, Tick], dict[str, Any]],
    *,
    slices: int,
    seed: int | None,
    progress: Progress,
) -> pd.DataFrame:
    """Run the arms and the A/A arm in each setting, their slices interleaved, and return one row per slice.

    Parameters
    ----------
    run : runs one slice of an arm in a setting and returns its row. It calls its third argument about ten times per
        second, so that Stop works during a long slice.
    """
    frames = []
    for number, setting in enumerate(settings):

        def one(arm: str, tick: Tick, setting: Setting = setting) -> dict[str, Any]:
            return setting | run(arm.removesuffix(trial.AGAIN), setting, tick)

        share = part(progress, number / len(settings), (number + 1) / len(settings))
        frames.append(trial.interleaved([*ARMS, AGAIN], one, slices=slices, seed=seed, progress=share).frame())
    return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True)
class Pair:
    """Two processes that talk, for one slice."""

    arm: str
    pinning: str  # as `labkit.running.pinning` names it
    message_bytes: int
    options: Sequence[str] = ()  # further ones of the workload
    ipv6: bool = False

    @property
    def transport(self) -> str:
        """The workload's name of what they talk by; the shortcut is TCP to them."""
        return "unix" if self.arm == UNIX else "tcp6" if self.ipv6 else "tcp"


def ping_pong(pair: Pair, cut: Shortcut, tick: Tick | None = None) -> dict[str, Any]:
    """Run one slice of round trips and return its row; see `sockmap.measure` for the names."""
    result = _run("ping_pong", ("client", "server"), pair, cut, tick)
    counts = from_buckets(result["latency_ns"]["buckets"])
    done = max(result["round_trips"], 1)
    return {
        "rtt_ns": result["elapsed_s"] * 1e9 / done,
        "p50_ns": float(quantile(counts, 0.5)),
        "p99_ns": p99(counts),
        **{name: result[name] for name in ["round_trips", "data_segments", *_SEEN]},
        **_cost(result["client"], result["server"], 2 * done),
        "client_cpu": result["client_cpu"],
        "server_cpu": result["server_cpu"],
    }


def stream(pair: Pair, cut: Shortcut, tick: Tick | None = None) -> dict[str, Any]:
    """Run one slice of a stream and return its row; see `sockmap.throughput` for the names."""
    result = _run("stream", ("sender", "receiver"), pair, cut, tick)
    return {
        "bytes_per_s": result["received_bytes"] / result["elapsed_s"],
        **{name: result[name] for name in ["sent_bytes", *_SEEN]},
        **_cost(result["sender"], result["receiver"], result["messages"]),
    }


def _run(name: str, ends: tuple[str, str], pair: Pair, cut: Shortcut, tick: Tick | None) -> dict[str, Any]:
    """Run a pair, in the cgroup or not, and return its report, and what others counted meanwhile."""
    pinned = [
        word for end, cpu in zip(ends, cpus_for(pair.pinning), strict=True) for word in (f"--{end}-cpu", str(cpu))
    ]
    sizes = ["--message-bytes", str(pair.message_bytes)]
    with Workload(name, ["--transport", pair.transport, *pinned, *sizes, *pair.options]) as run:
        if pair.arm == SHORTCUT:
            cut.cgroup.add(run.pid)  # before "go": its sockets are made afterwards
        before, lo_before = cut.counts(), lo_traffic()
        result = run.go(tick=tick)
        counted, lo = cut.counts() - before, lo_traffic() - lo_before
    seen = {"redirects": counted.redirects, "misses": counted.misses, "lo_packets": lo.packets, "lo_bytes": lo.bytes}
    return result | seen


def _cost(one: dict[str, int], other: dict[str, int], messages: int) -> dict[str, float]:
    switches = sum(end["voluntary_switches"] + end["involuntary_switches"] for end in (one, other))
    return {
        "cpu_ns_per_message": (one["cpu_ns"] + other["cpu_ns"]) / messages,
        "switches_per_message": switches / messages,
    }
