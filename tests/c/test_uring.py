# SPDX-License-Identifier: Apache-2.0
"""A file comes whole through rings made by hand and through liburing's; the tour does what it says.

Witnesses: zlib for the content, strace for the system calls.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Build = Callable[..., Any]
REPO = Path(__file__).parents[2]
INTERFACES = ("raw", "liburing")
STOPS = ("nops", "files", "echo", "timeouts")
needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed: apt-get install strace")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder on the file system that the repository is on: /tmp may be in memory."""
    path = REPO / "build" / f"test-uring-{os.getpid()}"
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path)


def random_file(folder: Path, size: int) -> Path:
    path = folder / f"random-{size}"
    path.write_bytes(np.random.default_rng(size).bytes(size))
    return path


# ---- the reader ----


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("size", [0, 1, 511, 4095, 4096, 4097, 8192, 100_000, 3_000_001])
def test_the_exact_bytes_arrive(build: Build, folder: Path, interface: str, size: int) -> None:
    path = random_file(folder, size)
    result = build("uring").run("--file", path, "--interface", interface).result
    assert (result["bytes"], result["crc32"]) == (size, zlib.crc32(path.read_bytes()))
    assert result["ios"] == -(-size // 4096)


@pytest.mark.parametrize("san", [False, True], ids=["plain", "sanitised"])
@given(
    size=st.integers(0, 70_000),
    block_bytes=st.integers(1, 9000),
    queue_depth=st.integers(1, 70),
    interface=st.sampled_from(INTERFACES),
    more=st.lists(st.sampled_from(["--sqpoll", "--trace"]), unique=True),
)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_size_block_and_depth(
    build: Build,
    folder: Path,
    san: bool,
    size: int,
    block_bytes: int,
    queue_depth: int,
    interface: str,
    more: list[str],
) -> None:
    path = random_file(folder, size)
    options = (
        "--file",
        path,
        "--interface",
        interface,
        "--block-bytes",
        block_bytes,
        "--queue-depth",
        queue_depth,
        *more,
    )
    result = build("uring", san=san).run(*options).result
    assert (result["bytes"], result["crc32"]) == (size, zlib.crc32(path.read_bytes()))
    assert result["ios"] >= -(-size // block_bytes)
    path.unlink()


@needs_strace
@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("depth", [1, 2, 8])
def test_strace_counts_the_enters_it_believes_it_made(
    build: Build, folder: Path, strace_counts: Build, interface: str, depth: int
) -> None:
    path = random_file(folder, 100_000)
    outcome, seen = strace_counts(build("uring"), "--file", path, "--interface", interface, "--queue-depth", depth)
    assert outcome.result["calls"] == {"io_uring_enter": seen["io_uring_enter"]}
    assert (seen["io_uring_setup"], seen.get("pread64", 0) < 10) == (1, True)


@needs_strace
@pytest.mark.parametrize("idle_ms", [0, 1])
def test_with_sqpoll_it_only_wakes_and_waits(build: Build, folder: Path, tmp_path: Path, idle_ms: int) -> None:
    path, log = random_file(folder, 100_000), tmp_path / "log"
    under = ("strace", "-f", "-e", "trace=io_uring_enter", "-o", str(log))
    result = build("uring", idle_ms=idle_ms).run("--file", path, "--sqpoll", under=under).result
    calls = re.findall(r"io_uring_enter\(\d+, (\d+), (\d+), (\w+)", log.read_text())
    assert len(calls) == result["calls"]["io_uring_enter"]
    assert {submitted for submitted, _, _ in calls} <= {"0"}
    wakeups = sum(flags == "IORING_ENTER_SQ_WAKEUP" for _, _, flags in calls)
    assert wakeups == result["wakeup_calls"]


@needs_strace
def test_raw_needs_no_library(build: Build, folder: Path, tmp_path: Path) -> None:
    make = ["make", "-s", "-C", str(REPO / "c"), f"BUILD={tmp_path}", "FEATURES=", "LIBS=-pthread", "uring"]
    subprocess.run(make, check=True, capture_output=True)
    program = str(tmp_path / "workloads" / "uring")
    path = random_file(folder, 10_000)
    done = subprocess.run([program, "--go", "--file", str(path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["crc32"] == zlib.crc32(path.read_bytes())
    command = [program, "--go", "--file", str(path), "--interface", "liburing"]
    lacking = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (lacking.returncode, "apt-get install liburing-dev" in lacking.stderr) == (77, True)


@pytest.mark.parametrize("interface", INTERFACES)
def test_direct_reads_in_random_order_bring_the_exact_bytes_from_the_disk(
    build: Build, folder: Path, interface: str
) -> None:
    path = random_file(folder, 1 << 20)
    options = ("--file", path, "--interface", interface, "--direct", "--random", "--block-bytes", 65536)
    result = build("uring").run(*options, "--trace").result
    assert (result["bytes"], result["crc32"], result["ios"]) == (1 << 20, zlib.crc32(path.read_bytes()), 16)


def test_direct_reads_are_in_flight_when_submit_returns(build: Build, folder: Path) -> None:
    options = ("--file", random_file(folder, 4 << 20), "--direct", "--random", "--block-bytes", 262144, "--trace")
    steps = build("uring").run(*options).result["steps"]
    assert max(step["sq_head"] - step["cq_tail"] for step in steps if step["action"] == "submit") >= 2


# ---- the steps of the rings ----


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("depth", [1, 3, 8])
def test_heads_follow_tails(build: Build, folder: Path, interface: str, depth: int) -> None:
    path = random_file(folder, 100_000)
    result = build("uring").run("--file", path, "--interface", interface, "--queue-depth", depth, "--trace").result
    steps = result["steps"]
    names = ("sq_head", "sq_tail", "cq_head", "cq_tail", "elapsed_ns")
    for before, after in itertools.pairwise(steps):
        assert all(before[name] <= after[name] for name in names)
    for step in steps:
        assert 0 <= step["sq_tail"] - step["sq_head"] <= depth + 1
        assert step["cq_head"] <= step["cq_tail"] <= step["sq_head"]
        assert step["sq_tail"] - step["cq_head"] <= depth
    last = steps[-1]
    assert {last[name] for name in names[:4]} == {result["ios"]}
    assert sum(step["action"] == "fill" for step in steps) == result["ios"]
    assert sum(step["result"] for step in steps if step["action"] == "seen") == result["bytes"]
    assert result["lost_events"] == 0


def test_nothing_is_visible_before_it_is_submitted(build: Build, folder: Path) -> None:
    result = build("uring").run("--file", random_file(folder, 20_000), "--trace").result
    fills = [step for step in result["steps"] if step["action"] == "fill"][:5]
    assert [step["sq_tail"] for step in fills] == [0] * 5
    submit = next(step for step in result["steps"] if step["action"] == "submit")
    assert (submit["sq_tail"], submit["sq_head"], submit["result"]) == (5, 5, 5)


def test_too_many_steps_are_counted(build: Build, folder: Path) -> None:
    options = ("--trace", "--block-bytes", 1)
    result = build("uring").run("--file", random_file(folder, 20_000), *options).result
    assert (len(result["steps"]), result["lost_events"] > 20_000) == (10_000, True)


# ---- the tour ----


@needs_strace
@pytest.mark.parametrize("batch", [1, 4, 32])
def test_nops_take_one_call_per_batch(build: Build, strace_counts: Build, batch: int) -> None:
    outcome, seen = strace_counts(build("uring_tour"), "--ios", 320, "--batch", batch)
    assert outcome.result["calls"]["io_uring_enter"] == seen["io_uring_enter"] == 320 // batch


@pytest.mark.parametrize("interface", ["plain", "io_uring"])
@pytest.mark.parametrize("more", [(), ("--cold",), ("--stat",), ("--cold", "--stat")])
@pytest.mark.parametrize("san", [False, True], ids=["plain", "sanitised"])
def test_many_files_come_whole(build: Build, folder: Path, interface: str, more: tuple[str, ...], san: bool) -> None:
    before = sorted(folder.iterdir())
    options = (
        "--stop",
        "files",
        "--interface",
        interface,
        "--ios",
        101,
        "--batch",
        16,
        "--folder",
        folder,
        "--file-bytes",
        520,
    )
    result = build("uring_tour", san=san).run(*options, *more).result
    assert (result["ios"], result["bytes"]) == (101, 101 * 520)
    assert result["stat_bytes"] == (101 * 520 if "--stat" in more else 0)
    assert sorted(folder.iterdir()) == before


@needs_strace
def test_plain_files_take_a_call_for_each_step(build: Build, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    under = ("strace", "-e", "trace=openat,statx", "-o", str(log))
    options = ("--stop", "files", "--interface", "plain", "--stat", "--ios", 101, "--folder", folder)
    calls = build("uring_tour").run(*options, under=under).result["calls"]
    seen = log.read_text()
    assert len(re.findall(r'openat\(\d+, "\d{6}", O_RDONLY', seen)) == calls["openat"] == 101
    assert len(re.findall(r'statx\(\d+, "\d{6}"', seen)) == calls["statx"] == 101


@needs_strace
def test_chained_files_take_one_call_per_batch(build: Build, folder: Path, strace_counts: Build) -> None:
    options = ("--stop", "files", "--ios", 96, "--batch", 32, "--folder", folder)
    outcome, seen = strace_counts(build("uring_tour"), *options)
    assert outcome.result["calls"]["io_uring_enter"] == seen["io_uring_enter"] == 3


@needs_strace
@pytest.mark.parametrize("call", ["read", "write"])
def test_a_signal_during_a_read_or_a_write_of_a_small_file_is_survived(build: Build, folder: Path, call: str) -> None:
    fault = ("strace", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error=EINTR:when=30..60+5")
    options = ("--stop", "files", "--interface", "plain", "--ios", 101, "--folder", folder)
    assert build("uring_tour").run(*options, under=fault).result["ios"] == 101


@needs_strace
def test_stopped_or_failed_it_leaves_no_files(build: Build, folder: Path) -> None:
    before = sorted(folder.iterdir())
    process = build("uring_tour").start("--stop", "files", "--ios", 50, "--folder", folder)
    assert sorted(folder.iterdir()) != before
    process.terminate()
    assert process.wait(60) == 0
    process.communicate()
    assert sorted(folder.iterdir()) == before
    fault = ("strace", "-o", "/dev/null", "-e", "trace=write", "-e", "inject=write:error=ENOSPC:when=20")
    options = ("--stop", "files", "--ios", 50, "--folder", folder)
    outcome = build("uring_tour").run(*options, under=fault)
    assert (outcome.status, "No space left" in outcome.stderr) == (1, True)
    assert sorted(folder.iterdir()) == before


@needs_strace
@pytest.mark.parametrize("interface", ["plain", "io_uring"])
def test_messages_come_back(build: Build, strace_counts: Build, interface: str) -> None:
    options = ("--stop", "echo", "--interface", interface, "--ios", 101, "--batch", 8, "--message-bytes", 4096)
    outcome, seen = strace_counts(build("uring_tour"), *options)
    assert outcome.result["ios"] == 101
    believed = outcome.result["calls"]
    assert believed == {name: seen.get(name, 0) for name in believed}
    assert believed == ({"sendto": 202, "recvfrom": 202} if interface == "plain" else {"io_uring_enter": 13})


def test_clocks_ring_in_the_order_of_time(build: Build) -> None:
    result = build("uring_tour").run("--stop", "timeouts", "--ios", 5, "--step-us", 2000).result
    assert [ring["asked_ns"] for ring in result["timeouts"]] == [2_000_000, 4_000_000, 6_000_000, 8_000_000, 10_000_000]
    assert all(ring["took_ns"] >= ring["asked_ns"] for ring in result["timeouts"])
    assert result["given_up"] == {"read": "Operation canceled", "timeout": "Timer expired"}


# ---- bad input, bad machines ----


@pytest.mark.parametrize(
    ("program", "options", "named", "fix"),
    [
        ("uring", ("--file", "/nonesuch"), "--file /nonesuch: No such file", "Name a file"),
        ("uring", ("--file", "/dev/null"), "--file /dev/null is not a regular file", "regular file"),
        ("uring", ("--queue-depth", 1025), '--queue-depth cannot be "1025"', "Allowed: 1 to 1024 reads"),
        ("uring", ("--block-bytes", 0), '--block-bytes cannot be "0"', "Allowed: 1 to 4194304 bytes"),
        ("uring", ("--direct", "--block-bytes", 100), "a block 100", "multiple of 4096"),
        ("uring", ("--interface", "magic"), '--interface cannot be "magic"', "Allowed: raw, liburing"),
        ("uring_tour", ("--batch", 0), '--batch cannot be "0"', "Allowed: 1 to 256 operations"),
        ("uring_tour", ("--stop", "moon"), '--stop cannot be "moon"', "Allowed: nops, files, echo, timeouts"),
        (
            "uring_tour",
            ("--interface", "plain"),
            '--interface cannot be "plain" with --stop nops',
            "Allowed with --stop nops",
        ),
        ("uring_tour", ("--stop", "timeouts", "--ios", 257), '--ios cannot be "257"', "1 to 256"),
        ("uring_tour", ("--stop", "files", "--folder", "/nonesuch"), "--folder /nonesuch: No such", "Name a folder"),
        ("uring_tour", ("--stop", "files", "--file-bytes", 9), "--file-bytes 9", "multiple of 8"),
    ],
)
def test_bad_input_is_refused(build: Build, program: str, options: tuple[object, ...], named: str, fix: str) -> None:
    outcome = build(program).run(*options)
    assert (outcome.status, outcome.stdout) == (1, "")
    first, second = outcome.stderr.splitlines()
    assert named in first
    assert fix in second


@needs_strace
@pytest.mark.parametrize(
    ("error", "reason"), [("ENOSYS", "has no io_uring"), ("EPERM", "refused"), ("ENOMEM", "ulimit -l")]
)
@pytest.mark.parametrize("program", ["raw", "liburing", *STOPS])
def test_a_machine_without_io_uring_is_told(build: Build, folder: Path, program: str, error: str, reason: str) -> None:
    under = ("strace", "-o", "/dev/null", "-e", "trace=io_uring_setup", "-e", f"inject=io_uring_setup:error={error}")
    if program in INTERFACES:
        outcome = build("uring").run("--file", random_file(folder, 10), "--interface", program, under=under)
    else:
        outcome = build("uring_tour").run("--stop", program, "--ios", 5, "--folder", folder, under=under)
    assert (outcome.status, outcome.stdout) == (77, "")
    assert reason in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
