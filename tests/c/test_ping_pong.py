# SPDX-License-Identifier: Apache-2.0
"""The workload of lesson 09 for round trips: strace, /proc and the kernel's counters are the witnesses."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

TRANSPORTS = ["tcp", "tcp6", "unix"]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("message_bytes", [1, 64, 65537])
def test_it_makes_the_round_trips_asked_for(build: Callable, transport: str, message_bytes: int) -> None:
    options = ("--transport", transport, "--message-bytes", message_bytes, "--round-trips", 23, "--warm-up", 0)
    result = build("ping_pong").run(*options).result
    assert result["round_trips"] == result["latency_ns"]["count"] == 23
    assert result["transport"] == transport


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_message_of_a_mebibyte_goes_to_and_fro(build: Callable, transport: str) -> None:
    options = ("--transport", transport, "--message-bytes", "1MiB", "--round-trips", 3, "--warm-up", 1)
    assert build("ping_pong").run(*options).result["round_trips"] == 3


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_strace_counts_the_messages_it_tells(build: Callable, strace_counts: Callable, transport: str) -> None:
    options = ("--transport", transport, "--connections", 5, "--round-trips", 101, "--warm-up", 7)
    outcome, counts = strace_counts(build("ping_pong"), *options)
    assert outcome.result["messages"] == counts["sendto"] == 5 + 2 * (101 + 7)
    assert counts["accept4"] == counts["connect"] == 5


def test_the_buckets_of_the_histogram_add_up(build: Callable) -> None:
    latency = build("ping_pong").run("--round-trips", 997).result["latency_ns"]
    assert sum(count for _, count in latency["buckets"]) == 997
    assert latency["min_ns"] <= latency["sum_ns"] / 997 <= latency["max_ns"]


def test_it_lasts_as_long_as_asked(build: Callable) -> None:
    result = build("ping_pong").run("--seconds", 0.2).result
    assert result["elapsed_s"] >= 0.2
    assert result["latency_ns"]["sum_ns"] <= result["elapsed_s"] * 1e9


def test_both_ends_run_where_they_were_put(build: Callable, tmp_path: Path) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    log, (client, server) = tmp_path / "log", (cpus[-1], cpus[0])
    under = ("strace", "-f", "-e", "trace=sched_setaffinity", "-o", str(log))
    result = (
        build("ping_pong").run("--client-cpu", client, "--server-cpu", server, "--round-trips", 50, under=under).result
    )
    assert (result["client_cpu"], result["server_cpu"]) == (client, server)
    asked = re.findall(r"^(\d+) +sched_setaffinity\(0, \d+, \[(\d+)", log.read_text(), re.MULTILINE)
    assert sorted(int(cpu) for _, cpu in asked) == sorted([client, server])
    assert len({pid for pid, _ in asked}) == 2


@pytest.mark.parametrize(("options", "calls"), [([], 6), (["--transport", "unix"], 0)])
def test_no_delay_is_set_on_both_ends_of_tcp(build: Callable, tmp_path: Path, options: list[str], calls: int) -> None:
    log = tmp_path / "log"
    under = ("strace", "-f", "-e", "trace=setsockopt", "-o", str(log))
    assert build("ping_pong").run("--connections", 3, "--round-trips", 5, *options, under=under).status == 0
    assert log.read_text().count("TCP_NODELAY, [1]") == calls


def test_tcp_tells_its_own_count_of_segments(build: Callable) -> None:
    result = build("ping_pong").run("--round-trips", 50, "--warm-up", 3, "--connections", 2).result
    assert result["data_segments"] == 53  # the client sent this many messages, of one segment each


def test_a_unix_socket_sends_no_segments(build: Callable) -> None:
    assert build("ping_pong").run("--transport", "unix", "--round-trips", 50).result["data_segments"] == 0


def test_both_ends_use_the_cpu_and_switch(build: Callable) -> None:
    result = build("ping_pong").run("--round-trips", 2000, "--cpu", max(os.sched_getaffinity(0))).result
    for end in (result["client"], result["server"]):
        assert end["cpu_ns"] > 0
        assert end["voluntary_switches"] + end["involuntary_switches"] > 0


def test_sigterm_ends_it_early_with_a_result(build: Callable) -> None:
    process = build("ping_pong").start("--seconds", 60)
    server = _say_go_and_find_server(process)
    process.send_signal(signal.SIGTERM)
    told, complaint = process.communicate(timeout=30)
    assert process.returncode == 0, complaint
    assert json.loads(told)["elapsed_s"] < 60
    assert not Path(f"/proc/{server}").exists()


@pytest.mark.parametrize("call", ["connect", "accept4"])
def test_a_signal_amid_the_handshake_does_not_end_it(build: Callable, call: str) -> None:
    under = ("strace", "-f", "-o", os.devnull, "-e", f"inject={call}:error=EINTR:when=1")
    assert build("ping_pong").run("--round-trips", 23, under=under).result["round_trips"] == 23


def test_a_server_that_dies_is_reported(build: Callable) -> None:
    process = build("ping_pong").start("--seconds", 60)
    os.kill(_say_go_and_find_server(process), signal.SIGKILL)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the server is gone" in complaint


@pytest.mark.parametrize("option", ["--client-cpu", "--server-cpu"])
def test_a_cpu_that_is_not_there_is_named_and_leaves_no_server(build: Callable, option: str) -> None:
    program = build("ping_pong")
    for _ in range(10):  # the client may end before or after the server asks to be ended with it
        outcome = program.run(option, 1023, "--cpu", min(os.sched_getaffinity(0)))
        assert outcome.status == 1
        assert f"{option} 1023" in outcome.stderr
    ends = time.monotonic() + 30
    while running := _processes_of(program.path):
        assert time.monotonic() < ends, running


def _processes_of(path: Path) -> list[str]:
    found = []
    for link in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            found += [link.parent.name] if os.readlink(link) == str(path) else []
    return found


def test_a_client_that_dies_takes_the_server_with_it(build: Callable) -> None:
    process = build("ping_pong").start("--seconds", 60)
    server = _say_go_and_find_server(process)
    handle = os.pidfd_open(server)
    process.kill()
    process.communicate(timeout=30)
    ended, _, _ = select.select([handle], [], [], 30)  # readable when the process has ended: pidfd_open(2)
    os.close(handle)
    assert ended


@pytest.mark.parametrize("option", [("--message-bytes", 0), ("--message-bytes", "2MiB"), ("--connections", 0)])
def test_what_is_not_allowed_is_refused_in_words(build: Callable, option: tuple[str, object]) -> None:
    outcome = build("ping_pong").run(*option)
    assert outcome.status == 1
    assert option[0] in outcome.stderr and "Allowed:" in outcome.stderr


def test_the_sanitised_build_finds_nothing(build: Callable) -> None:
    options = ("--round-trips", 211, "--connections", 3, "--message-bytes", 4097)
    outcome = build("ping_pong", san=True).run(*options)
    assert outcome.result["round_trips"] == 211
    assert outcome.stderr == ""


def _say_go_and_find_server(process: subprocess.Popen[str]) -> int:
    """Say "go", wait until the server has been forked and return its process id."""
    process.stdin.write("go\n")
    process.stdin.flush()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not children.read_text().split():
        assert process.poll() is None, process.stderr.read()
    return int(children.read_text().split()[0])
