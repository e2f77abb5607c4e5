# SPDX-License-Identifier: Apache-2.0
"""The server and the clients of lesson 11: every byte is answered and compared, whatever the clients do."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

WAYS = ["threads", "epoll", "uring", "multishot", "registered", "zerocopy"]
BY_URING = WAYS[2:]
CANNOT_RUN = 77
# clients that are slow, that come and go, that leave after half a request, that reset, that fall silent
ROUGH = ["--slow", 100, "--requests-per-connection", 7, "--visits-every", 3]


@dataclass
class Served:
    """A server that is running: where it listens; after the block, its JSON line."""

    address: str
    process: subprocess.Popen[str]
    result: dict[str, Any]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


Serve = Callable[..., contextlib.AbstractContextManager[Served]]


@pytest.fixture
def serve(build: Callable[..., Any]) -> Serve:
    """serve("epoll", ...): a server during a block."""

    @contextlib.contextmanager
    def run(way: str, *options: object, san: bool = False, under: tuple[str, ...] = ()) -> Iterator[Served]:
        program = build("serve", san=san)
        command = [*under, str(program.path), "--way", way, "--seconds", "60", *map(str, options)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            assert process.stdout and process.stderr and process.stdin
            if process.stdout.readline() != "ready\n":
                said = process.stderr.read()
                assert process.wait(30) == CANNOT_RUN, said
                pytest.skip(said)
            address = re.fullmatch(r"listening on (\S+)\n", process.stderr.readline())[1]  # type: ignore[index]
            process.stdin.write("go\n")
            process.stdin.flush()
            made = Served(address, process, {})
            try:
                yield made
                if process.poll() is None:
                    os.kill(children_of(process.pid)[0] if under else process.pid, signal.SIGTERM)
                line, said = process.communicate(timeout=60)
                assert process.returncode == 0, said
                made.result.update(json.loads(line.splitlines()[-1]))
            finally:
                process.kill()

    return run


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def ask(build: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """ask(served, ...): what the clients report."""

    def run(served: Served, *options: object, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = build("serve_load").run("--address", served.address, *options, **more).result
        return found

    return run


Ask = Callable[..., dict[str, Any]]


# -- every byte --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["echo", "http"])
@pytest.mark.parametrize("way", WAYS)
def test_a_thousand_connections_get_every_byte_whatever_other_clients_do(
    serve: Serve, ask: Ask, way: str, protocol: str
) -> None:
    what = ["--protocol", protocol, "--message-bytes", 1000]
    with serve(way, *what) as served:
        told = ask(served, *what, "--connections", 1000, "--requests", 4999, *ROUGH)
    assert told["asked"] == told["answered"] == 4999
    assert told["wrong_bytes"] == 0 and told["visits"] == 4999 // 3
    # a visitor that resets right after its request may have been answered
    assert 0 <= served.result["requests"] - told["answered"] <= told["reset_visits"]
    # the last visitors may still wait to be accepted when the server ends
    assert told["opened_connections"] <= served.result["accepted"] <= told["opened_connections"] + told["visits"]


@pytest.mark.parametrize("transport", ["tcp", "unix"])
@pytest.mark.parametrize("way", WAYS)
def test_large_messages_in_pieces_under_the_sanitisers(serve: Serve, ask: Ask, way: str, transport: str) -> None:
    if (way, transport) == ("zerocopy", "unix"):
        pytest.skip("refused, and tested below")
    what = ["--message-bytes", "64KiB"]
    with serve(way, *what, "--transport", transport, san=True) as served:
        told = ask(served, *what, "--connections", 40, "--requests", 499, *ROUGH[2:], "--slow", 10)
    assert (told["answered"], told["wrong_bytes"]) == (499, 0)


@pytest.mark.parametrize("size", [1, 64, 65536])
@pytest.mark.parametrize("way", WAYS)
def test_requests_counted_equal_requests_answered(serve: Serve, ask: Ask, way: str, size: int) -> None:
    with serve(way, "--message-bytes", size) as served:
        told = ask(served, "--message-bytes", size, "--connections", 23, "--requests", 997)
    assert told["answered"] == served.result["requests"] == 997
    assert served.result["received_bytes"] == served.result["sent_bytes"] == 997 * size


SABOTEUR = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>

ssize_t recv(int fd, void *bytes, size_t length, int flags)
{
	static int calls;
	ssize_t (*next)(int, void *, size_t, int) = dlsym(RTLD_NEXT, "recv");
	ssize_t got = next(fd, bytes, length, flags);

	if (got > 7 && ++calls == 40)
		((char *)bytes)[7] ^= 1;
	return got;
}
"""


@pytest.mark.parametrize("protocol", ["echo", "http"])
def test_one_wrong_byte_is_noticed(serve: Serve, ask: Ask, tmp_path: Path, protocol: str) -> None:
    (tmp_path / "saboteur.c").write_text(SABOTEUR)
    library = tmp_path / "saboteur.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", library, tmp_path / "saboteur.c", "-ldl"], check=True, capture_output=True
    )
    with serve("epoll", "--protocol", protocol) as served:
        told = ask(served, "--protocol", protocol, "--requests", 97, env={**os.environ, "LD_PRELOAD": str(library)})
    assert told["wrong_bytes"] == 1


# -- HTTP as others speak it -------------------------------------------------------------------------------


def body(size: int) -> bytes:
    return bytes((i * 31 + (i >> 8)) % 256 for i in range(size))


@pytest.mark.parametrize("way", WAYS)
def test_pythons_own_client_gets_the_answer_over_one_connection(serve: Serve, way: str) -> None:
    with serve(way, "--protocol", "http", "--message-bytes", 5000) as served:
        client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        for _ in range(3):
            client.request("GET", "/any?thing=1")
            assert client.getresponse().read() == body(5000)
        client.close()
    assert (served.result["requests"], served.result["accepted"]) == (3, 1)


@pytest.mark.parametrize("way", WAYS)
def test_requests_that_come_together_or_byte_by_byte_are_all_answered(serve: Serve, way: str) -> None:
    request = b"GET / HTTP/1.1\r\nX: \r\r\n\r\n"
    with serve(way, "--protocol", "http", "--message-bytes", 10) as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(request * 100)
            for one in request:
                client.sendall(bytes([one]))
            client.shutdown(socket.SHUT_WR)
            got = b"".join(iter(lambda: client.recv(1 << 16), b""))
    assert got.count(b"HTTP/1.1 200 OK\r\n") == got.count(body(10)) == 101
    assert served.result["requests"] == 101


@pytest.mark.parametrize("request_", [b"POST / HTTP/1.1\r\n\r\n", b"\0" * 40, b"GET " + b"x" * 9000])
@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_get_is_refused_and_the_connection_closed(serve: Serve, way: str, request_: bytes) -> None:
    with serve(way, "--protocol", "http") as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n" + request_)
            with contextlib.suppress(ConnectionResetError):  # what it left unread
                got = b"".join(iter(lambda: client.recv(1 << 16), b""))
                assert got.startswith(b"HTTP/1.1 200 ") and b"HTTP/1.1 400 Bad Request" in got
    assert (served.result["requests"], served.result["refused_requests"]) == (1, 1)


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
@pytest.mark.parametrize("way", WAYS)
def test_wrk_is_answered_without_an_error(serve: Serve, way: str) -> None:
    with serve(way, "--protocol", "http") as served:
        command = ["wrk", "-t", "1", "-c", "50", "-d", "1s", f"http://{served.address}/"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    answered = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    assert "Socket errors" not in said and "Non-2xx" not in said
    assert 0 <= served.result["requests"] - answered <= 50  # what was in flight at the end


# -- system calls ------------------------------------------------------------------------------------------

OF_THE_SERVER = ("accept4", "recvfrom", "sendto", "epoll_wait", "io_uring_enter")


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("way", WAYS)
def test_strace_counts_the_calls_that_the_server_counts(serve: Serve, ask: Ask, tmp_path: Path, way: str) -> None:
    table = tmp_path / "strace.txt"
    under = ("strace", "-f", "-c", "-U", "calls,name", "-o", str(table))
    with serve(way, under=under) as served:
        told = ask(served, "--connections", 64, "--requests", 1999)
    rows = re.findall(r"^\s*(\d+)\s+(\w+)\s*$", table.read_text(), re.MULTILINE)
    seen = {name: int(calls) for calls, name in rows}
    own = served.result["calls"]
    tried = 8 if way in BY_URING[1:] else 0  # before "ready", whether the kernel has what the way needs
    for call in OF_THE_SERVER:
        assert 0 <= seen.get(call, 0) - own.get(call, 0) <= tried, call
    calls = sum(own.get(call, 0) for call in OF_THE_SERVER)
    assert told["answered"] == 1999
    assert calls < 1999 if way in BY_URING else calls > 2 * 1999


def test_on_loopback_each_zero_copy_send_is_copied_after_all(serve: Serve, ask: Ask) -> None:
    with serve("zerocopy", "--message-bytes", "16KiB") as served:
        ask(served, "--message-bytes", "16KiB", "--connections", 8, "--requests", 499)
    assert served.result["notifications"] >= 499
    assert served.result["copied_notifications"] in (0, served.result["notifications"])  # 0: no report before 6.2


# -- the open loop -----------------------------------------------------------------------------------------


def test_below_saturation_the_open_loop_serves_what_it_offers(serve: Serve, ask: Ask) -> None:
    with serve("epoll") as served:
        told = ask(served, "--connections", 16, "--rate", 500, "--seconds", 1)
    assert told["answered"] + told["never_asked"] == told["offered"]
    assert 350 < told["offered"] < 650  # Poisson: 500, give or take 22
    assert told["answered"] >= 0.9 * told["offered"]


def test_beyond_saturation_latency_counts_from_when_a_request_was_due(serve: Serve, ask: Ask) -> None:
    with serve("epoll", "--message-bytes", 65536) as served:
        told = ask(served, "--message-bytes", 65536, "--connections", 2, "--rate", 1e6, "--seconds", 0.2)
    assert told["answered"] + told["never_asked"] == told["offered"] and told["never_asked"] > told["answered"]
    late, served_ns = told["latency_ns"], told["service_ns"]
    assert late["count"] == served_ns["count"] == told["answered"]
    assert late["sum_ns"] > 2 * served_ns["sum_ns"]


# -- life and options --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_by_itself_when_its_time_is_over(build: Callable[..., Any], way: str) -> None:
    outcome = build("serve").run("--way", way, "--seconds", 0.05)
    assert outcome.status == CANNOT_RUN or outcome.result["requests"] == 0


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_while_clients_are_connected(serve: Serve, way: str) -> None:
    with serve(way) as served, contextlib.ExitStack() as clients:
        for _ in range(7):
            one = clients.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=30))
            one.sendall(b"x" * 64)
            assert one.recv(64, socket.MSG_WAITALL) == b"x" * 64
        os.kill(served.process.pid, signal.SIGTERM)
        assert served.process.wait(30) == 0
    assert served.result["requests"] == 7


def test_it_listens_on_loopback_only(serve: Serve) -> None:
    with serve("epoll") as served:
        listening = subprocess.run(["ss", "-Htlnp"], capture_output=True, text=True, check=True).stdout
        own = [line.split()[3] for line in listening.splitlines() if f"pid={served.process.pid}," in line]
    assert own == [served.address]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("serve", ["--way", "select"], '--way cannot be "select"'),
        ("serve", ["--message-bytes", 65537], "--message-bytes cannot be"),
        ("serve", ["--way", "zerocopy", "--transport", "unix"], "not supported for Unix sockets"),
        ("serve_load", [], "--address is missing"),
        ("serve_load", ["--address", "10.0.0.1:80"], "Other machines are not asked"),
        ("serve_load", ["--address", "127.0.0.1:80x"], "--address cannot be"),
        ("serve_load", ["--address", "@a", "--slow", 2], "--slow 2 is more than --connections 1"),
        ("serve_load", ["--address", "@nobody-listens-here"], "the server is gone"),
    ],
)
def test_a_bad_option_is_refused_in_two_lines(
    build: Callable[..., Any], name: str, options: list[object], said: str
) -> None:
    outcome = build(name).run(*options)
    assert outcome.status == 1 and said in outcome.stderr and len(outcome.stderr.splitlines()) == 2


def test_clients_say_when_the_server_goes(serve: Serve, build: Callable[..., Any]) -> None:
    with serve("epoll") as served:
        clients = build("serve_load").start("--address", served.address, "--seconds", 60)
        assert clients.stdin
        clients.stdin.write("go\n")
        clients.stdin.flush()
        with socket.create_connection(("127.0.0.1", served.port)) as probe:
            probe.sendall(b"x")
            assert probe.recv(1)
        os.kill(served.process.pid, signal.SIGTERM)
        _, said = clients.communicate(timeout=30)
    assert clients.returncode == 1 and ("the server has ended connection" in said or "the server is gone" in said)
