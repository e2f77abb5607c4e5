# SPDX-License-Identifier: Apache-2.0
"""Lesson 10 where something is wrong: a full disk, Stop, a damaged database, arguments, odd processes."""

from __future__ import annotations

import ctypes as ct
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labkit.bpf.program import Program
from labkit.errors import BadArgument, LabkitError, Stopped, WorkloadError
from labkit.lessons import capstone
from labkit.lessons._redis import server
from labkit.lessons.capstone import calls, servers, sqlite
from labkit.lessons.capstone.calls import NO_FILE
from labkit.lessons.capstone.sqlite import DATABASE
from labkit.running.workload import Workload

bpf = pytest.mark.bpf
needs_redis = pytest.mark.skipif(bool(server.why_not()), reason=server.why_not())
SMALL: dict[str, Any] = {"transactions": 23, "slices": 2}


@bpf
def test_stop_ends_each_measurement() -> None:
    def stop(share: float, note: str) -> None:
        if note not in ("done", ""):
            raise Stopped

    for function in (capstone.measure, capstone.transaction, capstone.witnesses):
        with pytest.raises(Stopped):
            function(progress=stop)  # type: ignore[operator]


@bpf
@needs_redis
def test_stop_ends_a_server_in_the_midst_of_its_work() -> None:
    def stop(share: float, note: str) -> None:
        if "client" in note:
            raise Stopped

    with pytest.raises(Stopped):
        servers.measure(1, requests=10_000_000, progress=stop)


@bpf
def test_a_full_disk_is_told_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    monkeypatch.setattr(Workload, "__enter__", lambda self: pytest.fail("the application was started"))
    for function in (capstone.measure, capstone.transaction):
        with pytest.raises(LabkitError, match="no room"):
            function()  # type: ignore[operator]


@bpf
def test_a_folder_in_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no /dev/shm")
    monkeypatch.setenv("LABKIT_DATA", "/dev/shm/labkit-test")
    try:
        frame = capstone.measure("wal", **SMALL)
        assert re.search(r"in memory \(tmpfs\)", " ".join(frame.attrs["warnings"]))
        assert list(Path("/dev/shm/labkit-test").iterdir()) == []
    finally:
        shutil.rmtree("/dev/shm/labkit-test", ignore_errors=True)


@bpf
def test_a_damaged_database_is_told(monkeypatch: pytest.MonkeyPatch, data_folder: Path) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("sqlite3 is not installed: run `make setup`")
    own = data_folder / "damaged"
    own.mkdir()
    (own / DATABASE).write_bytes(b"no database at all" * 1000)
    with pytest.raises(WorkloadError, match="damaged"):
        sqlite.stored_rows(own)
    shutil.rmtree(own)


@bpf
def test_a_database_without_the_shell_is_counted_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "sqlite3" else f"/usr/bin/{name}")
    frame = capstone.measure("wal", **SMALL)
    assert capstone.summary(frame)["stored_rows"].tolist() == [0]
    assert "sqlite3 is not installed" in frame.attrs["warnings"][0]


@pytest.mark.parametrize(
    ("function", "arguments", "told"),
    [
        (capstone.measure, {"journal": "wall"}, "journal='wall'.*did you mean 'wal'"),
        (capstone.measure, {"journal": []}, r"journal=\[\]"),
        (capstone.measure, {"journal": ["delete", 3]}, "journal=3"),
        (capstone.measure, {"synchronous": "ful"}, "did you mean 'full'"),
        (capstone.measure, {"synchronous": ()}, r"synchronous=\(\)"),
        (capstone.measure, {"synchronous": None}, "synchronous=None"),
        (capstone.measure, {"rows_per_transaction": 0}, "rows_per_transaction=0"),
        (capstone.measure, {"rows_per_transaction": [1, 10_001]}, "1 to 10000 rows"),
        (capstone.measure, {"transactions": 0}, "transactions=0"),
        (capstone.measure, {"transactions": 2.5}, "transactions=2.5"),
        (capstone.measure, {"transactions": 100_001}, "1 to 100000"),
        (capstone.measure, {"transactions": 100_000}, "may be 256 MiB"),
        (capstone.measure, {"row_bytes": 0}, "row_bytes=0"),
        (capstone.measure, {"row_bytes": (1 << 20) + 1}, "1 to 1048576 bytes"),
        (capstone.measure, {"row_bytes": "4096"}, "row_bytes='4096'"),
        (capstone.measure, {"slices": 1}, "slices=1"),
        (capstone.measure, {"slices": True}, "slices=True"),
        (capstone.transaction, {"journal": "x"}, "journal='x'"),
        (capstone.transaction, {"synchronous": ["full"]}, "synchronous="),
        (capstone.transaction, {"row_bytes": -1}, "row_bytes=-1"),
        (capstone.witnesses, {"journal": "memory"}, "journal='memory'"),
        (capstone.witnesses, {"transactions": -23}, "transactions=-23"),
        (servers.measure, {"pipeline": 0}, "pipeline=0"),
        (servers.measure, {"pipeline": []}, r"pipeline=\[\]"),
        (servers.measure, {"clients": 1001}, "1 to 1000 clients"),
        (servers.measure, {"clients": "many"}, "clients='many'"),
        (servers.measure, {"append_only": "allways"}, "did you mean 'always'"),
        (servers.measure, {"requests": 99}, "requests=99"),
        (servers.measure, {"slices": 0}, "slices=0"),
    ],
)
def test_bad_arguments_are_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, function: Any, arguments: dict[str, object], told: str
) -> None:
    monkeypatch.setattr(Workload, "__enter__", lambda self: pytest.fail("a program was started"))
    with pytest.raises(BadArgument, match=told):
        function(**arguments)


@bpf
def test_a_return_from_a_signal_handler_is_counted_by_its_name() -> None:
    """The kernel gives no number of the call at the end of rt_sigreturn, only at its beginning."""
    with Program("capstone") as program, Workload("hello", ["--getppid", "1000000", "--calls-per-s", "1000"]) as run:
        with calls.watching(program, run.pid, {}):
            run.start()
            while not program.hash("sums"):
                pass  # so that the signal comes in the middle of the work
            run.stop()
            run.result()
        seen = calls.read_calls(program, {})
    assert seen["rt_sigreturn", NO_FILE].count == 1


def test_an_alias_among_the_numbers_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers of 64-bit ARM."""
    said = "#define __NR_fcntl __NR3264_fcntl\n#define __NR3264_fcntl 25\n#define __NR_openat 56\n"
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, said, ""))
    calls.call_names.cache_clear()
    try:
        assert {25: "fcntl", 56: "openat"}.items() <= calls.call_names().items()
    finally:
        calls.call_names.cache_clear()


def test_a_process_may_open_and_close_files_while_it_is_looked_at() -> None:
    busy = (
        "import os\nprint('on', flush=True)\nwhile True:\n    [os.close(fd) for fd in [os.dup(1) for _ in range(40)]]"
    )
    with subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "on\n"
            looks = [calls.open_files(process.pid) for _ in range(300)]
        finally:
            process.kill()
    assert all({0, 1, 2} <= look.keys() for look in looks)
    assert len({len(look) for look in looks}) > 1  # it did open and close meanwhile


@bpf
def test_a_call_that_finds_no_room_in_the_map_is_counted_as_lost() -> None:
    with Program("capstone") as program, Workload("hello", ["--getppid", "23"]) as run:
        begun = program.table("begun")
        for thread in range(1, 4097):  # as many as it has room for; no thread has these ids
            begun[ct.c_uint64(thread)] = begun.Leaf()
        with program.watching(run.pid):
            run.go()
        seen = calls.read_calls(program, {})
        assert program.lost_events >= 23
    assert ("getppid", NO_FILE) not in seen
