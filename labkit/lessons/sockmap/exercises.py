# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 09: each draws a number at random that only the kernel's counters reveal."""

from __future__ import annotations

import os
import random

import pandas as pd

from labkit import schema
from labkit.errors import Missing
from labkit.lessons.sockmap.shortcut import Shortcut
from labkit.lessons.sockmap.slices import SHORTCUT, TCP, Pair, ping_pong
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.pinning import CROSS, SAME
from labkit.running.workload import Workload

__all__ = ["how_many_round_trips", "how_much_room", "which_run_is_odd"]

RUNS = range(1, 7)


def how_many_round_trips() -> pd.DataFrame:
    """Let a pair make a secret number of round trips over a secret number of connections, by the shortcut.

    Returns a frame with one row: inserts, redirects, misses. Exercise 09-q1 asks for the round trips.
    """
    chance = random.SystemRandom()
    round_trips, connections = chance.randint(1009, 2999), chance.randint(2, 7)
    options = ["--round-trips", str(round_trips), "--connections", str(connections), "--warm-up", "0"]
    with exclusive("lesson 09: how many round trips"), Shortcut() as cut:
        with Workload("ping_pong", options) as run:
            cut.cgroup.add(run.pid)
            run.go()
        counted = cut.counts()
    truths.expect("09-q1", round_trips)
    row = {"inserts": counted.inserts, "redirects": counted.redirects, "misses": counted.misses}
    return schema.frame([row], **provenance())


def which_run_is_odd(round_trips: int = 2000) -> pd.DataFrame:
    """Measure six runs, one of them set up differently: the mistake that spoils most comparisons.

    Returns one row per run: run, arm, message_bytes, connections, client_cpu, server_cpu, rtt_ns. Exercise
    09-q2 asks for the odd one.

    Raises
    ------
    Missing : this process may use one CPU only.
    """
    if len(os.sched_getaffinity(0)) < 2:
        raise Missing("This exercise needs two CPUs.", "give the machine, or the container, a second CPU")
    odd, rows = random.SystemRandom().choice(RUNS), []
    options = ["--round-trips", str(round_trips)]
    with exclusive("lesson 09: which run is odd"), Shortcut() as cut:
        for run in RUNS:
            arm = (SHORTCUT, TCP)[run % 2]
            result = ping_pong(Pair(arm, CROSS if run == odd else SAME, 64, options), cut)
            kept = {name: result[name] for name in ("client_cpu", "server_cpu", "rtt_ns")}
            rows.append({"run": run, "arm": arm, "message_bytes": 64, "connections": 1, **kept})
    truths.expect("09-q2", odd)
    return schema.frame(rows, **provenance())


def how_much_room() -> pd.DataFrame:
    """Open 23 connections by the shortcut while the map has room for a secret number of sockets.

    Returns a frame with one row: connections, inserts, insert_failures, messages, redirects, misses, and
    unseen_messages (of refused sockets: no program runs for them). Exercise 09-q3 asks for the room.
    """
    room, connections = random.SystemRandom().randint(9, 37), 23
    options = ["--round-trips", "2300", "--connections", str(connections), "--warm-up", "0"]
    with exclusive("lesson 09: how much room"), Shortcut(max_sockets=room) as cut:
        with Workload("ping_pong", options) as run:
            cut.cgroup.add(run.pid)
            result = run.go()
        counted = cut.counts()
    truths.expect("09-q3", room)
    kept = {name: getattr(counted, name) for name in ("inserts", "insert_failures", "redirects", "misses")}
    unseen = result["messages"] - counted.redirects - counted.misses
    row = {"connections": connections, "messages": result["messages"], **kept, "unseen_messages": unseen}
    return schema.frame([row], **provenance())
