# SPDX-License-Identifier: Apache-2.0
"""On a file system whose reads end early, or fail, every engine counts truly, or names the read that failed.

The witness is the file system itself (tests/fuse.py): it knows how often it was asked, and what it answered.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fuse import END, HALF, Answer, FuseFile, fuse_file

from labkit.lessons._io.honest import doubts
from labkit.lessons._io.job import Job

Build = Callable[..., Any]
BLOCKS, BLOCK_BYTES = 67, 4096
WORDS = np.random.default_rng(1).integers(0, 2**64, BLOCKS * BLOCK_BYTES // 8, dtype="<u8")
CHECKSUM = int(WORDS.sum(dtype="<u8"))
EARLY: list[Answer] = [-errno.EINTR, HALF, -errno.EAGAIN, HALF, HALF, -errno.EINTR, -errno.EINTR]
RING = ("--engine", "io_uring", "--queue-depth", 4)
OPEN = ("--rate", 20000)
DIRECT = {
    "sync": ("--engine", "sync"),
    "pool": ("--engine", "pool", "--queue-depth", 4),
    "pool, open loop": ("--engine", "pool", "--queue-depth", 4, *OPEN),
    "libaio": ("--engine", "libaio", "--queue-depth", 4),
    "libaio, batches": ("--engine", "libaio", "--queue-depth", 4, "--batch", 4, "--wait-for", 4),
    "libaio, open loop": ("--engine", "libaio", "--queue-depth", 4, *OPEN),
    "io_uring": RING,
    "io_uring, open loop": (*RING, *OPEN),
    "io_uring, one call": (*RING, "--one-call", "--batch", 4, "--wait-for", 4),
    "io_uring, registered": (*RING, "--registered-buffers", "--registered-files", "--registered-ring"),
    "io_uring, SQPOLL": (*RING, "--sqpoll", "--registered-files"),
    "io_uring, workers": (*RING, "--force-async"),
}
CACHED = {"sync": DIRECT["sync"], "mmap": ("--engine", "mmap"), "libaio": DIRECT["libaio"], "io_uring": RING}


@pytest.fixture
def served() -> Iterator[FuseFile]:
    with fuse_file(WORDS.tobytes()) as file:
        yield file


@pytest.fixture
def read(build: Build, served: FuseFile) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """Start a program as far as "ready", then let its reads be answered as told; return what it said at the end."""

    def run(answers: list[Answer], *options: object, name: str = "io_engines") -> tuple[int, dict[str, Any], str]:
        served.answers.clear()
        served.direct = "direct" in options or "--direct" in options
        process = build(name).start("--file", served.path, *options, pass_fds=[served.descriptor])
        served.reads = served.answered_bytes = 0
        served.answers.extend(answers)
        out, err = process.communicate("go\n", timeout=60)
        return process.returncode, json.loads(out) if process.returncode == 0 else {}, err

    return run


def options(engine: tuple[object, ...], cache: str = "direct") -> tuple[object, ...]:
    return (*engine, "--cache", cache, "--seconds", 0, "--ios", BLOCKS, "--verify", "during")


@pytest.mark.parametrize("engine", DIRECT)
def test_reads_that_end_early_are_continued_and_counted(read: Build, served: FuseFile, engine: str) -> None:
    status, told, err = read(EARLY, *options(DIRECT[engine]))
    assert status == 0, err
    assert (told["ios"], told["bytes"], told["checksum"]) == (BLOCKS, served.answered_bytes, CHECKSUM)
    within = EARLY.count(-errno.EAGAIN) if "io_uring" in engine else 0  # the kernel's io_uring asks again by itself
    assert told["ios"] + told["repeats"] + within == served.reads == BLOCKS + len(EARLY)
    assert told["latency_ns"]["count"] == BLOCKS


@pytest.mark.parametrize("engine", DIRECT)
def test_an_error_names_the_read_and_the_file(read: Build, served: FuseFile, engine: str) -> None:
    status, _, err = read([0, 0, -errno.EIO], *options(DIRECT[engine]), "--order", "sequential")
    what, fix = err.splitlines()
    assert status == 1
    assert what.startswith(f"io_engines: read of 4096 bytes of {served.path} (fuse) at ")
    assert what.endswith(": Input/output error") and "dmesg" in fix


@pytest.mark.parametrize("engine", ["sync", "pool", "libaio", "io_uring"])
def test_a_file_that_ends_within_a_block_is_no_whole_read(read: Build, engine: str) -> None:
    status, _, err = read([HALF, *[END] * 9], *options(DIRECT[engine]))
    assert status == 1 and err.splitlines()[0].endswith(": the file ends before that")


@pytest.mark.parametrize("engine", ["sync", "pool", "libaio", "io_uring"])
def test_a_read_that_never_gets_further_is_given_up(read: Build, engine: str) -> None:
    status, _, err = read([-errno.EINTR] * 5000, *options(DIRECT[engine]))
    what, fix = err.splitlines()
    assert status == 1
    assert what.endswith("Interrupted system call, again and again") and "file system" in fix


@pytest.mark.parametrize("engine", CACHED)
def test_the_page_cache_asks_again_too(read: Build, engine: str) -> None:
    status, told, err = read([-errno.EINTR, -errno.EAGAIN], *options(CACHED[engine], "cold"))
    assert status == 0, err
    assert (told["ios"], told["checksum"]) == (BLOCKS, CHECKSUM)


@pytest.mark.parametrize("engine", CACHED)
def test_the_page_cache_names_the_read_that_failed(read: Build, served: FuseFile, engine: str) -> None:
    status, _, err = read([-errno.EIO] * 2 * BLOCKS, *options(CACHED[engine], "cold"))
    what, _ = err.splitlines()
    assert status == 1
    assert f"of {served.path} (fuse) at " in what and what.endswith(": Input/output error")


def test_a_slow_read_is_one_read(read: Build, served: FuseFile) -> None:
    status, told, err = read([0.005] * 3, *options(DIRECT["io_uring"]))
    assert status == 0, err
    assert (told["repeats"], served.reads, told["checksum"]) == (0, BLOCKS, CHECKSUM)
    assert told["latency_ns"]["max_ns"] >= 5e6


@pytest.mark.parametrize("cache", ["direct", "cold", "warm"])
def test_getting_ready_asks_again(build: Build, served: FuseFile, cache: str) -> None:
    served.direct = cache == "direct"
    served.answers.extend([-errno.EINTR, -errno.EAGAIN, *([HALF] if cache == "direct" else [])])
    outcome = build("io_engines").run(
        "--file", served.path, *options(DIRECT["sync"], cache), pass_fds=[served.descriptor]
    )
    assert outcome.result["checksum"] == CHECKSUM


def test_rwf_nowait_is_refused(build: Build, served: FuseFile) -> None:
    served.direct = False
    outcome = build("io_engines").run(
        "--file", served.path, *options(("--engine", "nowait"), "cold"), pass_fds=[served.descriptor]
    )
    assert outcome.status == 77 and "no RWF_NOWAIT" in outcome.stderr


@pytest.mark.parametrize("cache", ["direct", "cold"])
def test_what_comes_from_no_device_carries_a_warning(read: Build, cache: str) -> None:
    status, told, err = read(EARLY[:1], *options(DIRECT["io_uring"], cache))
    assert status == 0, err
    said = " ".join(doubts(Job(engine="io_uring", cache=cache, queue_depth=4), {**told, "in_flight": 4}))
    assert "of the bytes came from a device. The file system (fuse)" in said
    assert ("1 of 68 reads ended early" in said) == (cache == "direct")


@pytest.mark.parametrize("way", ["raw", "liburing"])
def test_the_ring_that_reads_a_file_whole_asks_again(read: Build, served: FuseFile, way: str) -> None:
    whole = ("--interface", way, "--block-bytes", BLOCK_BYTES, "--direct")
    status, told, err = read(EARLY, *whole, name="uring")
    assert status == 0, err
    assert (told["bytes"], told["ios"]) == (served.answered_bytes, served.reads - EARLY.count(-errno.EAGAIN))
    status, _, err = read([-errno.EIO], *whole, name="uring")
    assert status == 1 and "Input/output error" in err and "dmesg" in err
