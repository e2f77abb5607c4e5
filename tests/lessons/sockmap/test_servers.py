# SPDX-License-Identifier: Apache-2.0
"""Lesson 09 on Redis, a program from elsewhere: its messages take the shortcut, and it ends with the measurement."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from pathlib import Path

import pytest

from labkit.errors import LabkitError, Missing, Stopped
from labkit.lessons import sockmap
from labkit.lessons._redis import server
from labkit.lessons.sockmap import servers
from labkit.lessons.sockmap.slices import SHORTCUT
from labkit.running.pinning import SAME

pytestmark = [pytest.mark.bpf, pytest.mark.programs_kept]

needs_redis = pytest.mark.skipif(bool(server.why_not()), reason=server.why_not())
QUICK = {"requests": 1600, "slices": 2}


@needs_redis
@pytest.mark.parametrize("pipeline", [1, 16])
def test_every_request_and_answer_takes_the_shortcut(pipeline: int) -> None:
    frame = servers.measure(pipeline, SAME, **QUICK)
    by_shortcut = frame["arm"].str.startswith(SHORTCUT)
    messages = 2 * 1600 // pipeline
    settings = 4  # redis-benchmark asks the server for its settings first
    # On a machine as slow as an emulated one a client may send before the server's end is in the map: then its
    # connection stays with TCP, and the program counts its messages there.
    counted = frame.loc[by_shortcut, ["redirects", "misses"]]
    assert counted.sum(axis=1).between(messages, messages + settings).all(), counted
    assert (counted["redirects"] > counted["misses"]).all(), counted
    assert (frame.loc[~by_shortcut, ["redirects", "misses"]] == 0).all(axis=None)


@needs_redis
def test_the_numbers_of_redis_benchmark_are_told() -> None:
    frame = servers.measure(1, SAME, **QUICK)
    assert (frame["requests_per_s"] > 0).all() and (frame["p50_ns"] <= frame["p99_ns"]).all()
    assert frame.attrs["server"].startswith("Redis server")
    assert len(sockmap.ratios(frame, "requests_per_s")) == 3


@needs_redis
def test_a_port_that_is_in_use_is_left_to_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    free, asked = server._free_port, []
    with socket.create_server(("127.0.0.1", 0)) as taken:

        def first_a_taken_one() -> int:
            asked.append(free() if asked else taken.getsockname()[1])
            return asked[-1]

        monkeypatch.setattr(server, "_free_port", first_a_taken_one)
        frame = servers.measure(1, SAME, **QUICK)
    assert len(asked) == 3 and not frame.empty


@needs_redis
def test_without_a_free_port_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(server, "_free_port", lambda: taken.getsockname()[1])
        with pytest.raises(LabkitError, match="found no free port"):
            servers.measure(1, SAME, **QUICK)


@needs_redis
def test_stop_ends_it() -> None:
    def press_stop(_: float, note: str) -> None:
        if "slice" in note and press_stop.calls > 3:  # type: ignore[attr-defined]
            raise Stopped
        press_stop.calls += 1  # type: ignore[attr-defined]

    press_stop.calls = 0  # type: ignore[attr-defined]
    with pytest.raises(Stopped):
        servers.measure(1, SAME, requests=100_000_000, slices=2, progress=press_stop)


def test_without_redis_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(Missing, match="not installed") as refused:
        servers.measure()
    assert refused.value.fix == "sudo apt-get install redis-tools, then: make setup"


def children() -> dict[int, str]:
    """Return the state of each child of this process, as the kernel says it (/proc/PID/stat)."""
    found = {}
    for one in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        found[int(one)] = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[0]
    return found


@needs_redis
@pytest.mark.parametrize("free_port", [True, False])
def test_no_server_stays_as_a_zombie(free_port: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    before = children()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if not free_port:
            monkeypatch.setattr(server, "_free_port", lambda: taken.getsockname()[1])
        with contextlib.suppress(LabkitError):
            servers.measure(1, SAME, **QUICK)
    assert children() == before
