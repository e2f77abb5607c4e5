# SPDX-License-Identifier: Apache-2.0
"""Lesson 11's open loop against a server whose speed is known, and against the schedule as it is computed here."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from labkit.running.workload import Workload

_PATTERN_BYTES = 1_048_583  # each takes one random number: c/workloads/serve_load/messages.c
_MASK = 2**64 - 1
SERVICE_S, CONNECTIONS = 0.005, 8


@functools.cache
def first_state() -> int:
    """Return the state of the random numbers when the schedule begins."""
    state = 1
    for _ in range(_PATTERN_BYTES):
        state ^= state >> 12
        state ^= state << 25 & _MASK
        state ^= state >> 27
    return state


def schedule(rate: float) -> Iterator[int]:
    """Yield when each request is due, in ns from the start: a Poisson process from the same random numbers."""
    state, due_ns = first_state(), 0
    while True:
        state ^= state >> 12
        state ^= state << 25 & _MASK
        state ^= state >> 27
        number = state * 0x2545F4914F6CDD1D & _MASK
        due_ns += int(-math.log(((number >> 11) + 0.5) / 2**53) / rate * 1e9)
        yield due_ns


@contextlib.contextmanager
def slow_server() -> Iterator[str]:
    """Have a server that needs a known time for each request of a connection; yield its address."""
    peers: list[socket.socket] = []

    def serve(peer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while message := peer.recv(64, socket.MSG_WAITALL):
                time.sleep(SERVICE_S)
                peer.sendall(message)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                peers.append(listener.accept()[0])
                threading.Thread(target=serve, args=(peers[-1],)).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        first = threading.Thread(target=accept, args=(listener,))
        first.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            first.join()
            for peer in peers:
                peer.close()


def ask(rate: float, seconds: float) -> dict[str, Any]:
    with slow_server() as address:
        options = ["--address", address, "--connections", CONNECTIONS, "--rate", rate, "--seconds", seconds]
        with Workload("serve_load", list(map(str, options))) as clients:
            return clients.go()


def test_until_saturation_every_request_that_is_due_is_answered() -> None:
    rate = 0.2 * CONNECTIONS / SERVICE_S
    dues = list(itertools.takewhile(lambda due_ns: due_ns < 1e9, schedule(rate)))
    # end in a gap, so that none is due at the last moment
    gaps = [(after - due, number) for number, (due, after) in enumerate(itertools.pairwise(dues), start=1)]
    gap_ns, offered = max(gap for gap in gaps if gap[1] > 100)
    assert gap_ns > 10e6
    told = ask(rate, (dues[offered - 1] + gap_ns / 2) / 1e9)
    assert (told["offered"], told["answered"], told["never_asked"]) == (offered, offered, 0)


def test_beyond_saturation_no_more_is_answered_than_the_server_can_and_the_rest_is_reported() -> None:
    rate, seconds = 4 * CONNECTIONS / SERVICE_S, 0.3
    told = ask(rate, seconds)
    offered = sum(1 for _ in itertools.takewhile(lambda due_ns: due_ns < seconds * 1e9, schedule(rate)))
    most = CONNECTIONS * math.ceil(seconds / SERVICE_S)
    assert told["offered"] == offered > 3 * most
    assert told["answered"] <= most
    assert told["never_asked"] == offered - told["answered"]
