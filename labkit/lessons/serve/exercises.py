# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 11: each draws a number at random that only a measurement reveals."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pandas as pd

from labkit import schema
from labkit.errors import WorkloadUnable
from labkit.lessons._judge.tool import watcher
from labkit.lessons.serve.runs import Setting, run_once, usual_place
from labkit.lessons.serve.watched import calls, per_request
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive

__all__ = ["count_by_calls", "count_in_the_ring", "how_many_connections", "which_way"]


def which_way() -> pd.DataFrame:
    """Watch three servers under the names A, B and C; exercise 11-q1 asks which has a thread for each connection.

    Returns one row per server: arm, connections, requests, calls, calls_per_request, sleeps_per_request.
    """
    ways = ["threads", "epoll", "uring"]
    letters = dict(zip(random.SystemRandom().sample(ways, len(ways)), "ABC", strict=True))
    made = per_request(calls(ways, connections=32, requests=3989))
    truths.expect("11-q1", letters["threads"])
    named = made.assign(arm=made["arm"].map(letters)).drop(columns="punted").sort_values("arm")
    return schema.frame(named.reset_index(drop=True), **provenance())


def count_by_calls(watch: object) -> str:
    """Let clients ask an epoll server a secret number of times while a learner's program watches; for exercise 11-q2.

    Parameters
    ----------
    watch : the program of a `%%bpf` cell, attached, which includes labkit.h.

    Returns what happened, in words.
    """
    return _count(watch, ("epoll",), "11-q2")


def count_in_the_ring(watch: object) -> str:
    """Do the same with a server by io_uring, whose sends are no system calls; for exercise 11-q3.

    It is the one with multishot, or, on a kernel that has none, the one with single requests: both send by the ring.
    """
    return _count(watch, ("multishot", "uring"), "11-q3")


def _count(watch: object, ways: Sequence[str], question: str) -> str:
    """Let clients ask a server by the first of the ways that this kernel has."""
    if isinstance(program := watcher(watch), str):
        return program
    chance = random.SystemRandom()
    requests, connections = chance.randint(1009, 2999), chance.randint(31, 61)
    for way in ways:
        try:
            with exclusive("lesson 11: an exercise"):
                run_once(way, Setting(connections, 64, usual_place()), requests=requests, program=program)
        except WorkloadUnable as error:
            refused = error
            continue
        truths.expect(question, requests)
        return (
            f"{connections} clients have asked the server ({way}), each over its own connection. Each request and each "
            "answer was a message of 64 bytes. How many requests were there?"
        )
    return f"This exercise cannot be done here. {refused.what} Fix: {refused.fix}"


def how_many_connections() -> pd.DataFrame:
    """Let a secret number of clients ask, each waiting for its answer; exercise 11-q4 asks how many they were.

    Returns one row: requests, requests_per_s, mean_ns (the mean latency).
    """
    connections = random.SystemRandom().randint(11, 97)
    requests = connections * quick(1000, 100)  # enough that the beginning and the end do not matter
    with exclusive("lesson 11: how many connections"):
        made = run_once("epoll", Setting(connections, 64, usual_place()), requests=requests)
        facts = provenance()
    latency = made.clients["latency_ns"]
    row = {
        "requests": made.requests,
        "requests_per_s": made.requests_per_s,
        "mean_ns": latency["sum_ns"] / latency["count"],
    }
    truths.expect("11-q4", connections)
    return schema.frame([row], **facts)
