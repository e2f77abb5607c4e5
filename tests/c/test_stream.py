# SPDX-License-Identifier: Apache-2.0
"""The workload of lesson 09 for streams: whether it would notice a wrong, a lost and a swapped byte."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

TRANSPORTS = ["tcp", "tcp6", "unix"]

# recv() as a kernel would do it that spoils the 40th read: LD_PRELOAD puts it before the C library's.
SABOTEUR = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/socket.h>

ssize_t recv(int fd, void *bytes, size_t length, int flags)
{
	static int calls;
	ssize_t (*next)(int, void *, size_t, int) = dlsym(RTLD_NEXT, "recv");
	ssize_t got = next(fd, bytes, length, flags);
	unsigned char *first = bytes;

	if (got < 16 || ++calls != 40)
		return got;
	if (SPOIL == 1) {		/* one byte is wrong */
		first[7] ^= 1;
	} else if (SPOIL == 2) {	/* two bytes have changed places */
		first[0] ^= first[9];
		first[9] ^= first[0];
		first[0] ^= first[9];
	} else {			/* one byte is lost */
		memmove(first, first + 1, --got);
	}
	return got;
}
"""


@pytest.fixture
def spoiled(tmp_path: Path) -> Callable[[int], dict[str, str]]:
    """spoiled(1): an environment in which one read goes wrong."""

    def make(kind: int) -> dict[str, str]:
        source, library = tmp_path / "saboteur.c", tmp_path / f"saboteur{kind}.so"
        source.write_text(SABOTEUR)
        command = ["cc", f"-DSPOIL={kind}", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        return {**os.environ, "LD_PRELOAD": str(library)}

    return make


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("connections", [1, 23])
def test_every_byte_arrives(build: Callable, transport: str, connections: int) -> None:
    options = ("--total-bytes", 3_000_017, "--connections", connections, "--random-sizes", "--check")
    more = ("--connection-bytes", 30_000, "--transport", transport)
    result = build("stream").run(*options, *more).result
    assert (result["sent_bytes"], result["received_bytes"], result["wrong_bytes"]) == (3_000_017, 3_000_017, 0)
    assert result["first_wrong"] == -1


def test_connections_are_opened_and_closed_throughout(build: Callable, strace_counts: Callable) -> None:
    options = ("--total-bytes", 1_000_000, "--connections", 3, "--connection-bytes", 20_000, "--message-bytes", 5000)
    outcome, counts = strace_counts(build("stream"), *options)
    opened = outcome.result["opened_connections"]
    assert opened > 3
    assert counts["connect"] == counts["accept4"] == opened
    assert counts["shutdown"] == opened // 2  # every second one is half closed before it is closed


def test_strace_counts_the_messages_it_tells(build: Callable, strace_counts: Callable) -> None:
    options = ("--total-bytes", 700_000, "--connections", 5, "--connection-bytes", 20_000, "--random-sizes")
    outcome, counts = strace_counts(build("stream"), *options, "--message-bytes", 5000)
    assert outcome.result["messages"] == counts["sendto"]


def test_strace_adds_up_the_bytes_it_tells(build: Callable, tmp_path: Path) -> None:
    log = tmp_path / "log"
    under = ("strace", "-f", "-e", "trace=sendto", "-o", str(log))
    result = build("stream").run("--total-bytes", 99_991, "--message-bytes", 1009, under=under).result
    sent = sum(int(size) for size in re.findall(r"sendto\(.*\) = (\d+)", log.read_text()))
    assert sent == result["sent_bytes"] + len("!") + 4  # a greeting, and the number of the connection


@pytest.mark.parametrize(("kind", "wrong"), [(1, 1), (2, 2)])
def test_a_wrong_byte_is_noticed(build: Callable, spoiled: Callable, kind: int, wrong: int) -> None:
    options = ("--total-bytes", 5_000_000, "--message-bytes", 4096, "--check")
    result = build("stream").run(*options, env=spoiled(kind)).result
    assert result["wrong_bytes"] == wrong
    assert result["first_wrong"] > 0


def test_a_lost_byte_is_noticed(build: Callable, spoiled: Callable) -> None:
    outcome = build("stream").run("--total-bytes", 5_000_000, "--check", env=spoiled(3))
    assert outcome.status == 1
    assert "5000000 bytes were sent, 4999999 arrived" in outcome.stderr


def test_the_same_seed_makes_the_same_messages(build: Callable) -> None:
    options = ("--total-bytes", 500_000, "--random-sizes", "--message-bytes", 3000, "--transport", "unix")
    counts = [build("stream").run(*options, "--seed", seed).result["messages"] for seed in (5, 5, 6)]
    assert counts[0] == counts[1] != counts[2]


def test_a_receiver_that_dies_is_reported(build: Callable) -> None:
    process = build("stream").start("--total-bytes", "4GiB")
    os.kill(_say_go_and_find_receiver(process), signal.SIGKILL)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the receiver is gone" in complaint


def test_a_sender_that_dies_takes_the_receiver_with_it(build: Callable) -> None:
    process = build("stream").start("--total-bytes", "4GiB")
    handle = os.pidfd_open(_say_go_and_find_receiver(process))
    process.kill()
    process.communicate(timeout=30)
    ended, _, _ = select.select([handle], [], [], 30)  # readable when the process has ended: pidfd_open(2)
    os.close(handle)
    assert ended


@pytest.mark.parametrize(
    "option", [("--message-bytes", 0), ("--total-bytes", 0), ("--connections", 1025), ("--seed", 0)]
)
def test_what_is_not_allowed_is_refused_in_words(build: Callable, option: tuple[str, object]) -> None:
    outcome = build("stream").run(*option)
    assert outcome.status == 1
    assert option[0] in outcome.stderr and "Allowed:" in outcome.stderr


def test_the_sanitised_build_finds_nothing(build: Callable) -> None:
    options = (
        "--total-bytes",
        2_000_000,
        "--connections",
        7,
        "--connection-bytes",
        50_000,
        "--random-sizes",
        "--check",
    )
    outcome = build("stream", san=True).run(*options)
    assert outcome.result["wrong_bytes"] == 0
    assert outcome.stderr == ""


def _say_go_and_find_receiver(process: subprocess.Popen[str]) -> int:
    """Say "go", wait until the receiver has been forked and return its process id."""
    process.stdin.write("go\n")
    process.stdin.flush()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not children.read_text().split():
        assert process.poll() is None, process.stderr.read()
    return int(children.read_text().split()[0])
