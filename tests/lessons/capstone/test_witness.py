# SPDX-License-Identifier: Apache-2.0
"""Lesson 10 in front of witnesses: bpftool, Redis's own counters, strace."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labkit.lessons import capstone
from labkit.lessons._redis import server
from labkit.lessons._redis.server import Server
from labkit.lessons.capstone import servers
from labkit.running.workload import Workload

pytestmark = pytest.mark.bpf
needs_redis = pytest.mark.skipif(bool(server.why_not()), reason=server.why_not())
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: run `make setup`")


def attached() -> int:
    """Return how many programs this process has attached, as bpftool counts them."""
    listed = subprocess.run(["bpftool", "-j", "perf"], capture_output=True, check=True, text=True).stdout
    return sum(one["pid"] == os.getpid() for one in json.loads(listed or "[]"))


def around(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, look: Callable[[Any, Callable[[], Any]], Any]
) -> None:
    """Let `look(self, call)` call a method in place of its callers."""
    method = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda self, *given, **more: look(self, lambda: method(self, *given, **more)))


def whole_slices(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["call"].isin(["(transaction)", "(request)"])]


def test_no_program_is_attached_while_an_unwatched_slice_of_sqlite_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def look(_: Workload, go: Callable[[], Any]) -> Any:
        seen.append(attached())
        return go()

    around(monkeypatch, Workload, "go", look)
    runs = whole_slices(capstone.measure(("delete", "wal"), transactions=7, slices=2))
    assert seen.count(0) == (~runs["watched"]).sum() == 6
    assert seen.count(2) == runs["watched"].sum() == 4  # sys_enter and sys_exit


@needs_redis
def test_no_program_is_attached_while_an_unwatched_slice_of_redis_runs_and_redis_counts_as_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[int, int]] = []

    def look(server: Server, ask: Callable[[], Any]) -> Any:
        before = stored(server)
        said = ask()
        seen.append((attached(), stored(server) - before))
        return said

    around(monkeypatch, Server, "ask", look)
    runs = whole_slices(servers.measure((1, 16), requests=1600, slices=2))
    first, *slices = seen
    assert first == (0, 1)  # the value that GET finds
    assert slices.count((0, 1600)) == (~runs["watched"]).sum() == 6
    assert slices.count((2, 1600)) == runs["watched"].sum() == 4
    assert (runs["requests"] == 1600).all()


def stored(server: Server) -> int:
    """Ask the server how many SETs it has carried out (INFO commandstats)."""
    with socket.create_connection(("127.0.0.1", server._port)) as asking:
        asking.sendall(b"INFO commandstats\r\nQUIT\r\n")
        said = b""
        while part := asking.recv(1 << 16):
            said += part
    found = re.search(rb"cmdstat_set:calls=(\d+)", said)
    return int(found[1]) if found else 0


@needs_redis
@needs_strace
def test_strace_counts_the_same_calls_of_a_redis_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counted: list[dict[str, int]] = []

    def look(server: Server, ask: Callable[[], Any]) -> Any:
        if not attached():
            return ask()
        log = tmp_path / "strace"
        with subprocess.Popen(
            ["strace", "-f", "-c", "-U", "name,calls", "-o", str(log), "-p", str(server.pid)]
        ) as tracer:
            while f"TracerPid:\t{tracer.pid}\n" not in Path(f"/proc/{server.pid}/status").read_text():
                assert tracer.poll() is None
            said = ask()
            tracer.send_signal(signal.SIGINT)
        rows = (line.split() for line in log.read_text().splitlines())
        counted.append({row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()})
        return said

    around(monkeypatch, Server, "ask", look)
    frame = servers.measure(1, 5, "always", requests=101, slices=2)
    calls = frame[frame["watched"] & (frame["call"] != "(request)")]
    assert len(counted) == 2
    for name in ("write", "accept4", "setsockopt", "fdatasync"):
        ours = calls[calls["call"] == name].groupby("slice")["count"].sum().tolist()
        assert sorted(ours) == sorted(each.get(name, 0) for each in counted), name
        assert min(ours) > 0
