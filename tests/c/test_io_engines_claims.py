# SPDX-License-Identifier: Apache-2.0
"""What io_engines claims about the machine is checked: direct, cold, depth, durable; and it says so when it cannot be.

Witnesses: the kernel's count of the children's blocks, loop devices with known sectors, mlock, strace, /proc.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Build = Callable[..., Any]
REPO = Path(__file__).parents[2]
DEEP = ("pool", "libaio", "io_uring")
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed: apt-get install strace")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder on the file system that the repository is on: /tmp may be in memory."""
    path = REPO / "build" / f"test-io-claims-{os.getpid()}"
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def io_engines(build: Build, folder: Path) -> Callable[..., Any]:
    program = build("io_engines")
    return lambda *options, **more: program.run("--folder", folder, "--seconds", 0, *options, **more)


@contextmanager
def mounted(tmp_path: Path, *, sector: int = 512, options: str = "defaults", mib: int = 64) -> Iterator[Path]:
    """A small ext4 on a loop device; skips where the machine has no loop devices."""
    image, place = tmp_path / "image", tmp_path / "mounted"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(mib << 20)
    made = subprocess.run(
        ["losetup", "--find", "--show", "--sector-size", str(sector), str(image)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    device = made.stdout.strip()
    try:
        subprocess.run(["mkfs.ext4", "-q", "-b", "4096", device], check=True)
        subprocess.run(["mount", "-o", options, device, str(place)], check=True)
        try:
            yield place
        finally:
            subprocess.run(["umount", str(place)], check=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def mount(kind: str, place: Path, options: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", kind, "-o", options, kind, str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def depth(engine: str) -> tuple[object, ...]:
    return ("--engine", engine, "--queue-depth", 8 if engine in DEEP else 1)


# ---- bytes from the device ----


@pytest.mark.parametrize("engine", ["sync", *DEEP])
def test_direct_reads_all_come_from_the_device(io_engines: Build, engine: str) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock
    result = io_engines(*depth(engine), "--file-bytes", "1m", "--ios", 509).result
    blocks = resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock - before
    assert result["device_read_bytes"] == result["bytes"] == 509 * 4096
    assert result["device_read_bytes"] <= 512 * blocks


@pytest.mark.parametrize("engine", ["sync", *DEEP])
def test_direct_writes_all_go_to_the_device(io_engines: Build, engine: str) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock
    options = (*depth(engine), "--operation", "write", "--file-bytes", "1m")
    result = io_engines(*options, "--ios", 509).result
    blocks = resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock - before
    assert result["device_write_bytes"] == result["bytes"] == 509 * 4096
    assert result["device_write_bytes"] + (1 << 20) <= 512 * blocks  # and the file, before the run


@pytest.mark.parametrize("engine", ["sync", "nowait", "mmap", *DEEP])
def test_cold_reads_come_from_the_device_in_every_pass_and_warm_ones_never(io_engines: Build, engine: str) -> None:
    cold = io_engines(*depth(engine), "--cache", "cold", "--file-bytes", "256k", "--ios", 192).result
    assert cold["device_read_bytes"] >= cold["bytes"] == 3 * (256 << 10)
    assert cold["resident_pages"] == 0
    warm = io_engines(*depth(engine), "--cache", "warm", "--file-bytes", "256k", "--ios", 192).result
    assert warm["device_read_bytes"] == 0
    assert warm["resident_pages"] * os.sysconf("SC_PAGE_SIZE") == 256 << 10


@root
def test_an_overlay_over_memory_reads_nothing_from_a_device(build: Build, tmp_path: Path) -> None:
    below, above = tmp_path / "below", tmp_path / "above"
    below.mkdir()
    above.mkdir()
    with mount("tmpfs", below, "size=64m"):
        for name in ("lower", "upper", "work"):
            (below / name).mkdir()
        with mount("overlay", above, f"lowerdir={below}/lower,upperdir={below}/upper,workdir={below}/work"):
            outcome = build("io_engines").run("--folder", above, "--file-bytes", "1m", "--seconds", 0, "--ios", 101)
    if outcome.status == 77:  # older kernels: a tmpfs has no O_DIRECT, and the overlay passes that on
        assert "O_DIRECT" in outcome.stderr
    else:
        assert (outcome.result["filesystem"], outcome.result["device_read_bytes"]) == ("overlayfs", 0)


@root
def test_a_journal_of_data_has_no_direct_io(build: Build, tmp_path: Path) -> None:
    with mounted(tmp_path, options="data=journal") as place:
        outcome = build("io_engines").run("--folder", place, "--file-bytes", "1m", "--seconds", 0, "--ios", 101)
    if outcome.status == 0:  # a kernel before 6.1 does not say so; then the bytes do
        assert outcome.result["device_read_bytes"] < 0.9 * outcome.result["bytes"]
    else:
        assert (outcome.status, outcome.stdout) == (77, "")
        assert "no O_DIRECT for this file (statx: its alignment is 0)" in outcome.stderr
        assert "--cache cold or warm" in outcome.stderr


@root
@pytest.mark.parametrize("engine", ["sync", *DEEP])
def test_large_sectors_are_known(build: Build, tmp_path: Path, engine: str) -> None:
    program = build("io_engines")
    with mounted(tmp_path, sector=4096) as place:
        options = ("--folder", place, "--file-bytes", "1m", "--seconds", 0, "--ios", 101, *depth(engine))
        small = program.run(*options, "--block-bytes", 512)
        assert (small.status, small.stdout) == (1, "")
        assert "--block-bytes 512 is not a multiple of 4096, the sector here" in small.stderr
        assert program.run(*options, "--block-bytes", 512, "--cache", "cold").result["ios"] == 101
        large = program.run(*options, "--block-bytes", 12288, "--verify", "during").result
        assert large["verified_ios"] == 101


# ---- the page cache ----


def test_pages_that_stay_in_the_page_cache_are_counted_and_refused(io_engines: Build, folder: Path) -> None:
    path = folder / "locked"
    path.write_bytes(os.urandom(64 << 10))
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        address = ctypes.addressof(ctypes.c_char.from_buffer(view))
        if libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(8192)):
            pytest.skip("this machine allows no locked memory")
        outcome = io_engines("--file", path, "--cache", "cold", "--ios", 10)
        direct = io_engines("--file", path, "--cache", "direct", "--ios", 10)
        libc.munlock(ctypes.c_void_p(address), ctypes.c_size_t(8192))
    path.unlink()
    assert (outcome.status, outcome.stdout) == (77, "")
    stayed = re.search(r"(\d+) pages of the data file stay in the page cache", outcome.stderr)
    assert stayed and 2 <= int(stayed[1]) <= 16  # a large folio stays whole
    assert direct.result["ios"] == 10


@strace
def test_a_file_system_that_does_not_empty_the_page_cache_is_refused(io_engines: Build) -> None:
    under = ("strace", "-f", "-o", "/dev/null", "-e", "trace=fadvise64", "-e", "inject=fadvise64:error=EINVAL")
    outcome = io_engines("--cache", "cold", "--file-bytes", "64k", "--ios", 10, under=under)
    assert outcome.status == 77
    assert "cannot empty the page cache (Invalid argument)" in outcome.stderr


@strace
def test_a_signal_while_the_file_is_made_does_not_shorten_it(io_engines: Build) -> None:
    under = ("strace", "-f", "-o", "/dev/null", "-e", "trace=write", "-e", "inject=write:error=EINTR:when=1")
    result = io_engines(
        "--cache", "warm", "--file-bytes", "256k", "--ios", 64, "--verify", "during", under=under
    ).result
    assert (result["file_bytes"], result["verified_ios"]) == (256 << 10, 64)


def test_what_rwf_nowait_finds_and_what_it_does_not_are_counted(io_engines: Build) -> None:
    options = ("--engine", "nowait", "--file-bytes", "256k", "--ios", 64)
    warm = io_engines(*options, "--cache", "warm").result
    assert (warm["cached_ios"], warm["blocked_ios"], warm["calls"]["pread64"]) == (64, 0, 0)
    cold = io_engines(*options, "--cache", "cold").result
    assert cold["cached_ios"] + cold["blocked_ios"] == 64
    assert cold["calls"]["preadv2"] == 64 and cold["calls"]["pread64"] >= cold["blocked_ios"] > 32


def test_mapped_pages_are_read_by_faults(io_engines: Build) -> None:
    options = ("--engine", "mmap", "--file-bytes", "256k", "--ios", 192)
    cold = io_engines(*options, "--cache", "cold").result
    assert 0.9 * 192 <= cold["major_faults"] <= 192
    assert io_engines(*options, "--cache", "warm").result["major_faults"] == 0


def data_file(pid: int) -> Path:
    (link,) = (each for each in Path(f"/proc/{pid}/fd").iterdir() if os.readlink(each).endswith("(deleted)"))
    return link


def test_a_mapped_page_that_cannot_be_read_is_said(build: Build, folder: Path) -> None:
    options = ("--folder", folder, "--file-bytes", "64k", "--engine", "mmap", "--cache", "warm", "--seconds", 0)
    process = build("io_engines").start(*options, "--ios", 100)
    os.truncate(data_file(process.pid), 0)
    out, err = process.communicate("go\n", timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "the file ends before that" in err.splitlines()[0] and "cut short" in err.splitlines()[1]


# ---- short reads and signals ----


@strace
@pytest.mark.parametrize("engine", ["sync", "pool"])
@pytest.mark.parametrize("fault", ["retval=512", "error=EINTR"])
def test_a_read_that_ends_early_is_repeated(io_engines: Build, engine: str, fault: str) -> None:
    which = "40..60+2" if engine == "sync" else "3..9+2"  # strace counts the calls of each thread
    under = ("strace", "-f", "-o", "/dev/null", "-e", "trace=pread64", "-e", f"inject=pread64:{fault}:when={which}")
    result = io_engines(*depth(engine), "--file-bytes", "256k", "--ios", 101, under=under).result
    assert result["ios"] == 101 and result["bytes"] == 101 * 4096
    assert result["calls"]["pread64"] > 101


# ---- depth, size of the file ----


def test_the_pool_has_a_thread_for_each_place(build: Build, folder: Path) -> None:
    options = ("--folder", folder, "--file-bytes", "256k", "--engine", "pool", "--queue-depth", 7)
    process = build("io_engines").start(*options, "--cpu", max(os.sched_getaffinity(0)))
    tasks = [path for path in Path(f"/proc/{process.pid}/task").iterdir() if path.name != str(process.pid)]
    assert sorted((path / "comm").read_text().strip() for path in tasks) == [f"pool-{i}" for i in range(7)]
    assert {frozenset(os.sched_getaffinity(int(path.name))) for path in tasks} == {
        frozenset({max(os.sched_getaffinity(0))})
    }
    out, _ = process.communicate("go\n", timeout=60)
    assert json.loads(out)["kernel_threads"] == []


def test_a_signal_reaches_the_pool_before_and_after_go(build: Build, folder: Path) -> None:
    options = ("--folder", folder, "--file-bytes", "256k", "--engine", "pool", "--queue-depth", 4, "--seconds", 3600)
    process = build("io_engines").start(*options)
    process.terminate()
    assert process.wait(60) == 0
    process.communicate()
    process = build("io_engines").start(*options)
    process.stdin.write("go\n")
    process.stdin.flush()
    read = re.compile(r"syscr: (\d+)")
    first = int(read.search(Path(f"/proc/{process.pid}/io").read_text())[1])
    while int(read.search(Path(f"/proc/{process.pid}/io").read_text())[1]) < first + 100:
        pass
    process.terminate()
    out, _ = process.communicate(timeout=60)
    result = json.loads(out)
    assert result["stopped"] is True and result["ios"] == result["latency_ns"]["count"] > 0


def test_the_file_has_eight_blocks_for_each_place(io_engines: Build) -> None:
    options = ("--engine", "pool", "--queue-depth", 16, "--block-bytes", "1m", "--ios", 16)
    assert io_engines(*options).result["file_bytes"] == 128 << 20
    assert io_engines("--ios", 16).result["file_bytes"] == 64 << 20
    assert io_engines("--ios", 16, "--file-bytes", "1m").result["file_bytes_wanted"] == 1 << 20


@root
def test_a_file_that_finds_no_room_says_what_it_wanted(build: Build, tmp_path: Path) -> None:
    with mounted(tmp_path) as place:
        result = build("io_engines").run("--folder", place, "--seconds", 0, "--ios", 101).result
        asked = build("io_engines").run("--folder", place, "--file-bytes", "64m", "--seconds", 0, "--ios", 101)
    assert result["file_bytes"] < result["file_bytes_wanted"] == 64 << 20
    assert asked.status == 1 and "bytes are free" in asked.stderr


def test_in_flight_is_what_little_says(io_engines: Build) -> None:
    result = io_engines(*depth("pool"), "--file-bytes", "1m", "--ios", 997).result
    expected = result["latency_ns"]["sum_ns"] / 1e9 / result["elapsed_s"]
    assert result["in_flight"] == pytest.approx(expected) and 0 < result["in_flight"] <= 8.01


# ---- durable writes; what CPU time contains ----


@strace
@pytest.mark.parametrize(
    ("options", "syncs", "call"),
    [
        (("--durable", "none"), 0, "pwrite64"),
        (("--durable", "end"), 1, "pwrite64"),
        (("--durable", "every", "--sync-every", 10), 10, "pwrite64"),
        (("--durable", "dsync"), 0, "pwritev2"),
    ],
)
@pytest.mark.parametrize("engine", ["sync", "pool"])
def test_writes_are_as_durable_as_asked(
    io_engines: Build, tmp_path: Path, engine: str, options: tuple[object, ...], syncs: int, call: str
) -> None:
    log = tmp_path / "log"
    under = ("strace", "-f", "-o", str(log), "-e", "trace=fdatasync,pwrite64,pwritev2")
    more = ("--operation", "write", "--cache", "warm", "--file-bytes", "256k", "--ios", 101)
    result = io_engines(*depth(engine), *more, *options, under=under).result
    lines = [line for line in log.read_text().splitlines() if f"{call}(" in line]
    assert len(lines) == 101
    assert all(("RWF_DSYNC" in line) == ("dsync" in options) for line in lines)
    assert result["calls"]["fdatasync"] == result["fdatasync_ns"]["count"] == syncs
    assert log.read_text().count("fdatasync(") == syncs + 1  # one brings the new file to the disk, before "ready"
    assert result["durable"] == options[1]


@pytest.mark.parametrize("engine", ["sync", *DEEP])
def test_a_sync_at_the_end_is_in_the_measured_time(io_engines: Build, engine: str) -> None:
    options = (*depth(engine), "--operation", "write", "--cache", "warm", "--file-bytes", "16m", "--ios", 4096)
    result = io_engines(*options, "--durable", "end").result
    assert result["elapsed_s"] >= result["fdatasync_ns"]["sum_ns"] / 1e9 > 0


@pytest.mark.parametrize("engine", ["libaio", "io_uring"])
def test_asynchronous_writes_take_rwf_dsync_too(io_engines: Build, engine: str) -> None:
    options = (*depth(engine), "--operation", "write", "--cache", "warm", "--file-bytes", "256k", "--ios", 64)
    result = io_engines(*options, "--durable", "dsync", "--verify", "after").result
    assert (result["verified_ios"], result["durable"], result["calls"]["fdatasync"]) == (64, "dsync", 0)


def test_cpu_time_is_that_of_the_measured_time(io_engines: Build) -> None:
    """One thread cannot use more CPU time than goes by: emptying the page cache 300 times is in neither."""
    options = ("--cache", "cold", "--block-bytes", "4k", "--file-bytes", "4k", "--ios", 300)
    result = io_engines(*options).result
    assert result["user_s"] + result["system_s"] <= result["elapsed_s"] + 0.004
