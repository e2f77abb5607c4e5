# SPDX-License-Identifier: Apache-2.0
"""Each engine moves the bytes it says, in the calls it says, and says so when the machine or the input is bad.

Witnesses: NumPy for the content, strace for the system calls, fincore for the page cache, /proc for the rest.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Build = Callable[..., Any]
ENGINES = ("sync", "pool", "libaio", "io_uring")
CACHED = ("nowait", "mmap")  # they read through the page cache
SHALLOW = ("sync", *CACHED)
REPO = Path(__file__).parents[2]
RECORD = np.dtype(
    {
        "names": ["submit_ns", "submitted_ns", "complete_ns", "offset_bytes", "slot", "block_bytes"],
        "formats": ["<u8", "<u8", "<u8", "<u8", "<u4", "<u4"],
    }
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder on the file system that the repository is on: /tmp may be in memory."""
    path = REPO / "build" / f"test-io-engines-{os.getpid()}"
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def io_engines(build: Build, folder: Path) -> Callable[..., Any]:
    """Run it with a small file in a real folder; what the folder holds afterwards must be what it held before."""
    program = build("io_engines")

    def run(*options: object, **more: Any) -> Any:
        before = sorted(folder.iterdir())
        outcome = program.run("--folder", folder, "--file-bytes", "256k", "--seconds", 0, *options, **more)
        assert sorted(folder.iterdir()) == before
        return outcome

    return run


def deep(engine: str, depth: int = 8) -> tuple[object, ...]:
    """The options for an engine at its depth: some have one I/O in flight."""
    return ("--engine", engine, "--queue-depth", 1 if engine in SHALLOW else depth)


def pattern(seed: int, bytes_: int) -> np.ndarray:
    """What io_engines fills its file with, written again in NumPy."""
    word = np.arange(bytes_ // 8, dtype="<u8") + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def checksum(words: np.ndarray) -> int:
    return int(words.sum(dtype="<u8"))


def check_histogram(histogram: dict[str, Any], count: int) -> None:
    assert histogram["count"] == count
    assert sum(n for _, n in histogram["buckets"]) == count
    if count:
        lows = [low for low, _ in histogram["buckets"]]
        assert lows == sorted(set(lows))
        assert lows[0] <= histogram["min_ns"] <= histogram["max_ns"]
        assert count * histogram["min_ns"] <= histogram["sum_ns"] <= count * histogram["max_ns"]


# ---- content ----


@pytest.mark.parametrize(
    ("engine", "cache"),
    [*itertools.product(ENGINES, ["direct", "cold", "warm"]), *itertools.product(CACHED, ["cold", "warm"])],
)
@pytest.mark.parametrize("order", ["random", "sequential"])
def test_every_byte_read_is_right(io_engines: Build, engine: str, cache: str, order: str) -> None:
    options = ("--cache", cache, "--order", order, "--ios", 64, "--verify", "during", "--seed", 7)
    result = io_engines(*deep(engine), *options).result
    assert (result["ios"], result["bytes"], result["verified_ios"]) == (64, 64 * 4096, 64)
    assert result["checksum"] == checksum(pattern(7, 256 << 10))  # 64 blocks: each of the file, once


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_of_somebody_else_is_read_whole(io_engines: Build, folder: Path, engine: str) -> None:
    words = np.random.default_rng(1).integers(0, 2**64, 8192, dtype="<u8")
    path = folder / f"somebody-{engine}"
    path.write_bytes(words.tobytes() + b"half a block")
    try:
        result = io_engines(*deep(engine), "--file", path, "--ios", 16, "--verify", "during").result
        assert (result["file_bytes"], result["checksum"]) == (65536, checksum(words))
    finally:
        path.unlink()


def test_a_part_of_a_file_is_used_if_asked(io_engines: Build, folder: Path) -> None:
    words = np.random.default_rng(1).integers(0, 2**64, 8192, dtype="<u8")
    path = folder / "large"
    path.write_bytes(words.tobytes())
    result = io_engines("--file", path, "--file-bytes", "16k", "--ios", 4, "--verify", "during").result
    path.unlink()
    assert (result["file_bytes"], result["file_bytes_wanted"]) == (16384, 16384)
    assert result["checksum"] == checksum(words[:2048])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cache", ["direct", "cold", "warm"])
def test_every_byte_written_is_there_afterwards(io_engines: Build, engine: str, cache: str) -> None:
    options = ("--operation", "write", "--cache", cache, "--verify", "after", "--seed", 3)
    whole = io_engines(*deep(engine), *options, "--ios", 64).result
    assert whole["checksum"] == checksum(pattern(4, 256 << 10))
    part = io_engines(*deep(engine), *options, "--ios", 23, "--order", "sequential").result
    expected = pattern(3, 256 << 10)
    expected[: 23 * 512] = pattern(4, 256 << 10)[: 23 * 512]
    assert part["checksum"] == checksum(expected)


def test_wrong_content_is_noticed(io_engines: Build, build: Build, folder: Path) -> None:
    process = build("io_engines").start(
        "--folder", folder, "--file-bytes", "64k", "--cache", "warm", "--seconds", 0, "--ios", 16, "--verify", "during"
    )
    (link,) = data_file_links(process.pid)
    with link.open("r+b") as file:
        file.seek(12345)
        file.write(b"!")
    _, err = process.communicate("go\n", timeout=60)
    assert process.returncode == 1
    assert "wrong content in the block at 12288" in err


@st.composite
def options_of_any_kind(draw: st.DrawFn) -> dict[str, Any]:
    engine = draw(st.sampled_from([*ENGINES, *CACHED]))
    depth = 1 if engine in SHALLOW else draw(st.integers(1, 40))
    batches = 1 if engine == "pool" else depth
    cache = draw(st.sampled_from(["cold", "warm"] if engine in CACHED else ["direct", "cold", "warm"]))
    block = 512 * draw(st.integers(1, 20)) if cache == "direct" else 8 * draw(st.integers(64, 1300))
    operation = "read" if engine in CACHED else draw(st.sampled_from(["read", "write"]))
    chosen: dict[str, Any] = {
        "engine": engine,
        "operation": operation,
        "cache": cache,
        "order": draw(st.sampled_from(["random", "sequential"])),
        "block-bytes": block,
        "file-bytes": draw(st.integers(block, 40 * block)),
        "queue-depth": depth,
        "batch": draw(st.integers(1, batches)),
        "wait-for": draw(st.integers(1, batches)),
        "ios": draw(st.integers(1, 150)),
        "seed": draw(st.integers(0, 1000)),
        "verify": draw(st.sampled_from(["no", "after"] if operation == "write" else ["no", "after", "during"])),
    }
    if operation == "write":
        chosen["durable"] = draw(st.sampled_from(["none", "end", "every", "dsync"]))
        if chosen["durable"] == "every":
            chosen["sync-every"] = draw(st.integers(1, 50))
    flags = []
    if engine == "io_uring":
        flags = draw(
            st.lists(
                st.sampled_from(["registered-buffers", "registered-files", "registered-ring", "force-async"]),
                unique=True,
            )
        )
        mode = draw(st.sampled_from(["one-call", "sqpoll", "spin", "plain"]))
        flags += {"plain": [], "spin": ["sqpoll", "spin"]}.get(mode, [mode])
    if engine not in SHALLOW and draw(st.integers(0, 3)) == 0 and not {"one-call", "spin"} & set(flags):
        chosen["rate"] = draw(st.integers(10_000, 1_000_000))
    elif draw(st.booleans()):
        flags.append("no-timing")
    return {**chosen, **dict.fromkeys(flags, True)}


@pytest.mark.parametrize("san", [False, True], ids=["plain", "sanitised"])
@given(chosen=options_of_any_kind())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_mix_of_options_moves_what_it_says(build: Build, folder: Path, san: bool, chosen: dict[str, Any]) -> None:
    words = itertools.chain(*((f"--{k}",) if v is True else (f"--{k}", v) for k, v in chosen.items()))
    outcome = build("io_engines", san=san).run("--folder", folder, "--seconds", 0, *words)
    result = outcome.result
    blocks = chosen["file-bytes"] // chosen["block-bytes"]
    assert result["ios"] == chosen["ios"]
    assert result["bytes"] == chosen["ios"] * chosen["block-bytes"]
    check_histogram(result["latency_ns"], 0 if "no-timing" in chosen else chosen["ios"])
    syncs = {"end": 1, "every": chosen["ios"] // chosen.get("sync-every", 1)}
    assert result["calls"]["fdatasync"] == syncs.get(chosen.get("durable", "none"), 0)
    if chosen["verify"] != "no":
        assert result["verified_ios"] == (chosen["ios"] if chosen["verify"] == "during" else blocks)
    if chosen["verify"] == "after" and chosen["operation"] == "read":
        assert result["checksum"] == checksum(pattern(chosen["seed"], blocks * chosen["block-bytes"]))


# ---- system calls, as strace counts them ----


@pytest.fixture(scope="module")
def loader_preads(build: Build, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The dynamic loader reads libraries by pread64 too."""
    table = tmp_path_factory.mktemp("loader") / "strace.txt"
    build("io_engines").run("--help", under=("strace", "-f", "-c", "-U", "calls,name", "-o", str(table)))
    found = re.search(r"(\d+)\s+pread64", table.read_text())
    return int(found[1]) if found else 0


CALL_OPTIONS = [
    ("--engine", "sync"),
    ("--engine", "sync", "--operation", "write", "--durable", "every", "--sync-every", 10),
    ("--engine", "sync", "--operation", "write", "--durable", "dsync"),
    ("--engine", "sync", "--operation", "write", "--durable", "end"),
    deep("pool"),
    (*deep("pool"), "--operation", "write", "--durable", "dsync"),
    (*deep("pool"), "--rate", 20000),
    ("--engine", "nowait", "--cache", "warm"),
    ("--engine", "nowait", "--cache", "cold"),
    ("--engine", "mmap", "--cache", "warm"),
    (*deep("libaio"), "--batch", 4),
    (*deep("libaio"), "--cache", "warm"),
    (*deep("libaio"), "--rate", 20000),
    (*deep("io_uring"), "--rate", 20000),
    deep("io_uring"),
    (*deep("io_uring"), "--batch", 8, "--wait-for", 8),
    (*deep("io_uring"), "--one-call", "--batch", 8),
    (*deep("io_uring"), "--cache", "warm", "--batch", 4, "--wait-for", 4, "--registered-files"),
    (*deep("io_uring"), "--registered-ring", "--batch", 4),
    (*deep("io_uring"), "--sqpoll"),
    (*deep("io_uring"), "--force-async"),
    (*deep("io_uring"), "--operation", "write", "--durable", "every", "--sync-every", 7),
]


@pytest.mark.parametrize("options", CALL_OPTIONS, ids=lambda options: " ".join(map(str, options[1:])))
def test_strace_counts_the_calls_it_believes_it_made(
    build: Build, folder: Path, strace_counts: Build, loader_preads: int, options: tuple[object, ...]
) -> None:
    bounds = ("--folder", folder, "--file-bytes", "256k", "--seconds", 0, "--ios", 101)
    outcome, seen = strace_counts(build("io_engines"), *bounds, *options)
    believed = outcome.result["calls"]
    # where time_t was made wider, libaio's io_getevents() is made of another system call
    seen["io_getevents"] = seen.get("io_getevents", 0) + seen.get("io_pgetevents", 0)
    seen["pread64"] = seen.get("pread64", 0) - loader_preads
    cold = "cold" in options  # before "ready" and, here, after each of the 64 blocks; nowait tries a read before
    seen["fdatasync"] = seen.get("fdatasync", 0) - (3 if cold else 1)
    seen["preadv2"] = seen.get("preadv2", 0) - ("nowait" in options)
    assert believed == {name: seen.get(name, 0) for name in believed}


def test_sync_makes_one_call_per_io(io_engines: Build) -> None:
    assert io_engines("--engine", "sync", "--ios", 101).result["calls"]["pread64"] == 101


@pytest.mark.parametrize("batch", [1, 2, 4, 8, 16, 32])
def test_calls_per_io_are_one_over_the_batch(io_engines: Build, batch: int) -> None:
    options = ("--one-call", "--batch", batch, "--wait-for", batch, "--cache", "warm", "--ios", 1024)
    calls = io_engines(*deep("io_uring", batch), *options).result["calls"]
    assert calls["io_uring_enter"] == 1024 // batch


def test_with_sqpoll_and_spin_at_most_waking_the_thread_is_a_call(io_engines: Build) -> None:
    result = io_engines(*deep("io_uring"), "--sqpoll", "--spin", "--ios", 101).result
    assert (result["io_uring_enter"]["submit"], result["io_uring_enter"]["wait"]) == (0, 0)
    # The thread may sleep when the first I/O comes. Until it has had a CPU, each of the eight in flight calls it.
    assert result["calls"]["io_uring_enter"] <= 8
    assert [thread["name"][:8] for thread in result["kernel_threads"]] == ["iou-sqp-"]


def test_forced_ios_are_done_by_workers(io_engines: Build) -> None:
    result = io_engines(*deep("io_uring"), "--force-async", "--ios", 101).result
    assert {thread["name"][:8] for thread in result["kernel_threads"]} == {"iou-wrk-"}


# ---- the state of the page cache, as the kernel tells others ----


def data_file_links(pid: int) -> list[Path]:
    """The nameless files that a process holds open."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    return [link for link in links if os.readlink(link).endswith("(deleted)")]


@pytest.mark.skipif(not shutil.which("fincore"), reason="fincore is not installed: apt-get install util-linux")
@pytest.mark.parametrize(("cache", "pages"), [("cold", 0), ("warm", 64), ("direct", 0)])
def test_the_page_cache_is_as_asked_before_go(build: Build, folder: Path, cache: str, pages: int) -> None:
    process = build("io_engines").start("--folder", folder, "--file-bytes", "256k", "--cache", cache)
    (link,) = data_file_links(process.pid)
    command = ["fincore", "--noheadings", "--output", "PAGES", str(link)]
    seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(seen) * os.sysconf("SC_PAGE_SIZE") == pages * 4096
    flags = re.search(r"flags:\s+0(\d+)", Path(f"/proc/{process.pid}/fdinfo/{link.name}").read_text())
    assert flags is not None
    assert bool(int(flags[1], 8) & os.O_DIRECT) == (cache == "direct")
    process.communicate(timeout=60)


def test_the_folder_never_shows_the_file(build: Build, folder: Path) -> None:
    process = build("io_engines").start("--folder", folder, "--file-bytes", "256k")
    assert list(folder.iterdir()) == []
    process.kill()
    process.communicate(timeout=60)
    assert list(folder.iterdir()) == []


def test_stop_in_the_middle_gives_what_was_done(build: Build, folder: Path) -> None:
    options = ("--folder", folder, "--file-bytes", "256k", "--cache", "warm", "--seconds", 3600)
    process = build("io_engines").start(*options)
    before = read_calls(process.pid)
    process.stdin.write("go\n")
    process.stdin.flush()
    while read_calls(process.pid) < before + 100:
        pass
    process.terminate()
    out, _ = process.communicate(timeout=60)
    result = json.loads(out)
    assert process.returncode == 0
    assert result["stopped"] is True
    assert result["ios"] == result["latency_ns"]["count"] == result["calls"]["pread64"] >= 98


def read_calls(pid: int) -> int:
    found = re.search(r"syscr: (\d+)", Path(f"/proc/{pid}/io").read_text())
    assert found is not None
    return int(found[1])


def test_time_ends_it(io_engines: Build) -> None:
    for engine in ENGINES:
        result = io_engines(*deep(engine), "--seconds", 0.05).result
        assert (result["stopped"], result["ios"] > 0, result["elapsed_s"] >= 0.05) == (False, True, True)


def test_cold_passes_are_cold_again(io_engines: Build) -> None:
    """Five passes over the file read it from the disk five times, as /proc's own count of the children says."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock
    io_engines("--engine", "sync", "--cache", "cold", "--ios", 320)
    blocks = resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock - before
    assert blocks * 512 >= 5 * 256 << 10


# ---- the time line ----


@pytest.mark.parametrize("engine", ENGINES)
def test_the_time_line_has_every_io(io_engines: Build, tmp_path: Path, engine: str) -> None:
    path = tmp_path / "timeline"
    result = io_engines(*deep(engine), "--ios", 101, "--timeline", path).result
    line = np.fromfile(path, RECORD)
    assert (len(line), result["timeline_ios"], result["timeline_lost"]) == (101, 101, 0)
    assert set(line["block_bytes"]) == {4096}
    assert (line["submit_ns"] <= line["submitted_ns"]).all()
    assert (line["submitted_ns"] <= line["complete_ns"]).all()
    assert len(np.unique(line["offset_bytes"][:64])) >= 56  # one pass visits each block once, but for those in flight
    latency = line["complete_ns"] - line["submit_ns"]
    assert int(latency.sum()) == result["latency_ns"]["sum_ns"]
    assert (int(latency.min()), int(latency.max())) == (result["latency_ns"]["min_ns"], result["latency_ns"]["max_ns"])


@pytest.mark.parametrize("engine", ENGINES)
def test_only_sync_has_no_overlap(io_engines: Build, tmp_path: Path, engine: str) -> None:
    path = tmp_path / "timeline"
    io_engines(*deep(engine), "--ios", 101, "--timeline", path)
    line = np.sort(np.fromfile(path, RECORD), order="submit_ns")
    overlaps = (line["submit_ns"][1:] < line["complete_ns"][:-1]).any()
    assert overlaps == (engine != "sync")


def test_a_full_time_line_says_what_it_lost(io_engines: Build, tmp_path: Path) -> None:
    path = tmp_path / "timeline"
    result = io_engines("--ios", 101, "--timeline", path, "--timeline-ios", 30).result
    assert (result["timeline_ios"], result["timeline_lost"], path.stat().st_size) == (30, 71, 30 * 40)


# ---- bad input ----


@pytest.mark.parametrize(
    ("options", "named", "fix"),
    [
        (("--block-bytes", 0), '--block-bytes cannot be "0"', "Allowed: 512 to 4194304 bytes"),
        (("--block-bytes", -4096), '--block-bytes cannot be "-4096"', "Allowed: 512 to 4194304 bytes"),
        (("--block-bytes", "8M"), '--block-bytes cannot be "8M"', "Allowed: 512 to 4194304 bytes"),
        (("--block-bytes", "4kb"), '--block-bytes cannot be "4kb"', "Allowed: 512 to 4194304 bytes"),
        (("--block-bytes", 516), '--block-bytes cannot be "516"', "multiples of 8"),
        (("--block-bytes", 1000), "--block-bytes 1000 is not a multiple of", "multiple of the sector"),
        (("--file-bytes", 4095), "smaller than one block of 4096", "smaller --block-bytes or a larger file"),
        (("--file-bytes", -1), '--file-bytes cannot be "-1"', "Allowed: 0 to"),
        (("--file-bytes", "1000g"), "bytes are free in --folder", "smaller --file-bytes"),
        (("--queue-depth", 0), '--queue-depth cannot be "0"', "Allowed: 1 to 1024 I/Os"),
        (("--queue-depth", 1025), '--queue-depth cannot be "1025"', "Allowed: 1 to 1024 I/Os"),
        (
            ("--queue-depth", 2),
            '--queue-depth cannot be "2" with --engine sync',
            "Allowed with --engine sync, nowait and mmap: 1",
        ),
        (("--engine", "libaio", "--batch", 2), "larger than --queue-depth 1", "Allowed: 1 to --queue-depth"),
        (("--engine", "libaio", "--wait-for", 2), "larger than --queue-depth 1", "Allowed: 1 to --queue-depth"),
        ((*deep("io_uring", 1024), "--block-bytes", "4m"), "4294967296 bytes of buffers", "up to 1 GiB"),
        (("--engine", "posix"), '--engine cannot be "posix"', "Allowed: sync, pool, nowait, mmap, libaio, io_uring"),
        (("--seconds", -1), '--seconds cannot be "-1"', "Allowed: 0 to 3600 seconds"),
        (("--seconds", "nan"), '--seconds cannot be "nan"', "Allowed: 0 to 3600 seconds"),
        (("--ios", 0), "it would never end", "--seconds or --ios"),
        (("--sqpoll",), "for io_uring alone", "--engine io_uring"),
        (("--engine", "io_uring", "--sqpoll", "--one-call"), "exclude each other", "Leave out --one-call"),
        (("--engine", "io_uring", "--spin"), "--spin needs --sqpoll", "Add --sqpoll"),
        (("--durable", "end"), "--durable is for writing", "--operation write"),
        (("--operation", "write", "--durable", "every"), "--sync-every go together", "Give both"),
        (("--operation", "write", "--sync-every", 3), "--sync-every go together", "Give both"),
        ((*deep("pool"), "--batch", 2), "--batch 2, --wait-for 1 with --engine pool", "Leave them out"),
        (("--engine", "mmap"), "--engine mmap reads through the page cache", "--cache cold or warm"),
        (("--engine", "nowait", "--cache", "warm", "--operation", "write"), "reads through", "--operation read"),
        (("--rate", 100), "--rate does not go with", "--engine pool, libaio or io_uring"),
        ((*deep("libaio"), "--rate", 1, "--no-timing"), "--rate does not go with", "leave those options out"),
        (("--operation", "write", "--verify", "during"), "--verify during is for reading", "--verify after"),
        (("--operation", "write", "--file", "/etc/passwd"), "--file is for reading", "--folder"),
        (("--file", "/nonesuch"), "--file /nonesuch: No such file", "Name a file"),
        (("--file", "/dev/null"), "--file /dev/null is not a regular file", "Name a regular file"),
        (("--folder", "/nonesuch"), "--folder /nonesuch: No such file", "Name a folder"),
        (("--folder", "/etc/passwd"), "--folder /etc/passwd: Not a directory", "Name a folder"),
        (("--timeline", "/tmp/x", "--no-timing"), "exclude each other", "Leave out one"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_bad_input_is_refused_before_anything_starts(
    io_engines: Build, options: tuple[object, ...], named: str, fix: str
) -> None:
    outcome = io_engines("--ios", 10, *options)
    assert (outcome.status, outcome.stdout) == (1, "")
    first, second = outcome.stderr.splitlines()
    assert named in first
    assert fix in second


# ---- bad machines, acted by strace ----

BAD_MACHINES = [
    ("io_uring_setup:error=ENOSYS", deep("io_uring"), 77, "has no io_uring", "seccomp profile"),
    ("io_uring_setup:error=EPERM", deep("io_uring"), 77, "refused", "seccomp"),
    ("io_uring_setup:error=EINVAL", deep("io_uring"), 77, "too old", "io_uring"),
    ("io_uring_setup:error=EINVAL", (*deep("io_uring"), "--sqpoll"), 77, "too old", "--sqpoll"),
    ("io_uring_setup:error=ENOMEM", deep("io_uring"), 77, "no locked memory", "ulimit -l"),
    ("io_uring_register:error=ENOMEM", (*deep("io_uring"), "--registered-buffers"), 77, "32768 bytes", "ulimit -l"),
    ("io_setup:error=EAGAIN", deep("libaio"), 77, "--queue-depth 8: libaio allows", "fs.aio-max-nr"),
    ("io_setup:error=ENOSYS", deep("libaio"), 77, "refuses libaio", "seccomp profile"),
    ("fcntl:error=EINVAL", deep("sync"), 77, "has no O_DIRECT", "--cache cold or warm"),
    ("write:error=ENOSPC:when=1", deep("sync"), 1, "cannot fill the data file", "free some space"),
    ("pread64:error=EIO:when=20", deep("sync"), 1, "Input/output error", "dmesg"),
    ("pwrite64:error=ENOSPC:when=20", (*deep("sync"), "--operation", "write"), 1, "No space left", "Free some space"),
    ("fdatasync:error=EIO", deep("sync"), 1, "Input/output error", "dmesg"),
]


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed: apt-get install strace")
@pytest.mark.parametrize(
    ("fault", "options", "status", "reason", "fix"), BAD_MACHINES, ids=[row[0] for row in BAD_MACHINES]
)
def test_a_bad_machine_is_reported_with_its_fix(
    io_engines: Build, fault: str, options: tuple[object, ...], status: int, reason: str, fix: str
) -> None:
    call = fault.partition(":")[0]
    under = ("strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={fault}")
    outcome = io_engines(*options, "--ios", 100, under=under)
    assert outcome.status == status
    assert reason in outcome.stderr
    assert fix in outcome.stderr
    assert len(outcome.stderr.splitlines()) == (1 if status == 77 else 2)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed: apt-get install strace")
def test_an_older_kernel_gets_older_flags(io_engines: Build, tmp_path: Path) -> None:
    log = tmp_path / "log"
    fault = "io_uring_setup:error=EINVAL:when=1..2"  # newer versions of liburing try each set of flags twice
    under = ("strace", "-f", "-o", str(log), "-e", "trace=io_uring_setup", "-e", f"inject={fault}")
    told = io_engines(*deep("io_uring"), "--ios", 10, under=under).result["setup_flags"]
    granted = [line for line in log.read_text().splitlines() if "io_uring_setup(" in line and "= -1" not in line]
    asked = re.findall("SINGLE_ISSUER|DEFER_TASKRUN|COOP_TASKRUN", granted[-1])
    assert set(told) == set(asked)
    assert "DEFER_TASKRUN" not in told


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_the_limit_of_locked_memory_is_told(io_engines: Build) -> None:
    """The real limit: a process without CAP_IPC_LOCK that may lock 64 KiB."""
    under = ("setpriv", "--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock", "prlimit", "--memlock=65536:65536")
    options = ("--registered-buffers", "--block-bytes", "64k", "--ios", 10)
    outcome = io_engines(*deep("io_uring"), *options, under=under)
    assert outcome.status == 77
    assert "524288 bytes" in outcome.stderr
    assert "ulimit -l" in outcome.stderr


def test_too_deep_for_the_machine_is_told(build: Build, folder: Path) -> None:
    """The real limit of libaio: programs that hold queues until none is left for the next."""
    command = [str(build("io_engines").path), "--folder", str(folder), "--file-bytes", "4k"]
    command += ["--engine", "libaio", "--queue-depth", "1024"]
    pipe = subprocess.PIPE
    started = []
    try:
        for _ in range(200):
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
            started.append(process)
            assert process.stdout is not None
            assert process.stderr is not None
            if process.stdout.readline() != "ready\n":
                break
        else:
            pytest.skip("this machine allows more queues than are good for a test")
        assert process.wait(60) == 77
        message = process.stderr.read()
        assert "--queue-depth 1024: libaio allows" in message
        assert "fs.aio-max-nr" in message
    finally:
        for process in started:
            process.communicate(timeout=60)


@pytest.mark.parametrize("cache", ["direct", "cold", "warm"])
def test_a_folder_in_memory_serves_the_page_cache_alone(io_engines: Build, cache: str) -> None:
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK):
        pytest.skip("no /dev/shm")
    outcome = io_engines("--folder", folder, "--cache", cache, "--ios", 100)
    if cache == "warm":
        assert outcome.result["filesystem"] == "tmpfs"
    else:
        assert outcome.status == 77
        assert "in memory (tmpfs)" in outcome.stderr and "--cache warm" in outcome.stderr


def test_the_time_for_the_run_does_not_cut_the_verification_short(io_engines: Build) -> None:
    options = ("--operation", "write", "--ios", 10, "--seconds", 0.05, "--file-bytes", "64m", "--verify", "after")
    assert io_engines(*options).result["verified_ios"] == (64 << 20) // 4096


def test_the_shortest_time_ends(io_engines: Build) -> None:
    result = io_engines("--seconds", "1e-7", "--ios", 0).result
    assert result["elapsed_s"] < 60 and result["ios"] >= 1


def test_o_direct_leaves_the_time_of_the_last_access_alone(build: Callable, folder: Path) -> None:
    process = build("io_engines").start("--folder", folder, "--file-bytes", "64k", "--cache", "direct")
    try:
        links = Path(f"/proc/{process.pid}/fd").iterdir()
        [number] = [link.name for link in links if str(folder) in os.readlink(link)]
        told = Path(f"/proc/{process.pid}/fdinfo/{number}").read_text()
    finally:
        process.communicate(timeout=60)
    flags = int(re.search(r"^flags:\s+(\d+)", told, re.MULTILINE)[1], 8)
    assert flags & os.O_DIRECT and flags & os.O_NOATIME


@pytest.mark.parametrize("atime", [False, True])
def test_a_file_is_opened_as_fio_opens_it_if_asked(build: Callable, folder: Path, atime: bool) -> None:
    path = folder / "timed"
    path.write_bytes(bytes(65536))
    process = build("io_engines").start("--file", path, "--cache", "warm", *(["--atime"] if atime else []))
    (link,) = (each for each in Path(f"/proc/{process.pid}/fd").iterdir() if os.readlink(each) == str(path))
    told = Path(f"/proc/{process.pid}/fdinfo/{link.name}").read_text()
    process.communicate(timeout=60)
    path.unlink()
    flags = int(re.search(r"^flags:\s+(\d+)", told, re.MULTILINE)[1], 8)
    assert bool(flags & os.O_NOATIME) != atime


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed: apt-get install strace")
@pytest.mark.parametrize("ring", [False, True])
def test_only_what_is_asked_is_registered(io_engines: Build, tmp_path: Path, ring: bool) -> None:
    log = tmp_path / "log"
    under = ("strace", "-f", "-o", str(log), "-e", "trace=io_uring_register")
    more = ["--registered-ring"] if ring else []
    io_engines(*deep("io_uring"), "--registered-buffers", "--registered-files", *more, "--ios", 10, under=under)
    seen = re.findall("IORING_REGISTER_(BUFFERS|FILES|RING_FDS)", log.read_text())
    assert seen == ["BUFFERS", "FILES", *(["RING_FDS"] if ring else [])]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--sqpoll", "--sqpoll-cpu", 1023), "the kernel cannot run its thread there"),
        (("--sqpoll-cpu", 0), "Add --sqpoll"),
    ],
)
def test_a_cpu_that_cannot_poll_is_named(io_engines: Build, options: tuple[object, ...], says: str) -> None:
    outcome = io_engines(*deep("io_uring"), "--ios", 10, *options)
    assert outcome.status == 1
    assert "--sqpoll-cpu" in outcome.stderr and says in outcome.stderr


def test_without_the_libraries_it_is_built_and_says_what_it_lacks(tmp_path: Path, folder: Path) -> None:
    make = ["make", "-s", "-C", str(REPO / "c"), f"BUILD={tmp_path}", "FEATURES=", "LIBS=-pthread", "io_engines"]
    subprocess.run(make, check=True, capture_output=True)
    program = tmp_path / "workloads" / "io_engines"
    options = ["--folder", str(folder), "--file-bytes", "64k", "--seconds", "0", "--ios", "10", "--go"]
    for engine, package in (("libaio", "libaio-dev"), ("io_uring", "liburing-dev")):
        done = subprocess.run([program, *options, "--engine", engine], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (77, "")
        assert f"apt-get install {package}" in done.stderr.splitlines()[-1]
    done = subprocess.run([program, *options], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["ios"] == 10
