# SPDX-License-Identifier: Apache-2.0
"""What can be asked of io_engines, and what its witnesses say about one run."""

from __future__ import annotations

import os
from typing import Any

import pytest

from labkit.errors import BadArgument
from labkit.lessons._io import job as jobs
from labkit.lessons._io.honest import doubts
from labkit.lessons._io.job import ALL_ENGINES, DEEP_ENGINES, Job, shared_file
from labkit.running.workload import Workload

MIB = 1 << 20


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"engine": "posix"}, "engine='posix'"),
        ({"engine": "sync", "queue_depth": 2}, "queue_depth=2"),
        ({"engine": "nowait", "cache": "warm", "queue_depth": 2}, "queue_depth=2"),
        ({"engine": "mmap", "cache": "direct"}, "engine='mmap'"),
        ({"engine": "nowait", "cache": "warm", "operation": "write"}, "engine='nowait'"),
        ({"engine": "pool", "queue_depth": 8, "batch": 2}, "batch=2"),
        ({"engine": "pool", "queue_depth": 8, "wait_for": 2}, "wait_for=2"),
        ({"rate": 100}, "rate=100"),
        ({"engine": "pool", "rate": -1}, "rate=-1"),
        ({"engine": "pool", "rate": float("nan")}, "rate=nan"),
        ({"durable": "end"}, "durable='end'"),
        ({"operation": "write", "durable": "often"}, "durable='often'"),
        ({"operation": "write", "durable": "every"}, "sync_every=0"),
        ({"operation": "write", "sync_every": 3}, "sync_every=3"),
        ({"file_bytes": 100}, "file_bytes=100"),
        ({"file_bytes": -1}, "file_bytes=-1"),
    ],
)
def test_what_cannot_work_is_named_before_anything_starts(given: dict[str, Any], named: str) -> None:
    with pytest.raises(BadArgument) as caught:
        Job(**given)
    assert named in str(caught.value).splitlines()[0]
    assert str(caught.value).splitlines()[1].startswith("Fix: ")


@pytest.mark.parametrize("engine", ALL_ENGINES)
def test_every_engine_makes_the_calls_it_names_and_gives_no_doubt(engine: str) -> None:
    depth, cache = (4 if engine in DEEP_ENGINES else 1), ("cold" if engine in ("nowait", "mmap") else "direct")
    job = Job(engine, cache=cache, queue_depth=depth)
    with Workload("io_engines", job.arguments(ios=211)) as run:
        told = run.go()
    assert set(told["calls"]) - {"fdatasync"} == set(job.calls)
    assert (told["ios"], told["file_bytes"]) == (211, job.file_bytes)
    assert [doubt for doubt in doubts(job, told) if "in flight" not in doubt] == []  # that depends on the machine


@pytest.mark.parametrize("durable", ["none", "end", "every", "dsync"])
def test_each_kind_of_durable_write_can_be_asked_for(durable: str) -> None:
    job = Job(
        "pool", operation="write", cache="warm", queue_depth=4, durable=durable, sync_every=32 * (durable == "every")
    )
    with Workload("io_engines", job.arguments(ios=97)) as run:
        told = run.go()
    assert told["durable"] == durable
    assert told["calls"]["fdatasync"] == {"end": 1, "every": 3}.get(durable, 0)
    assert job.calls[0] in told["calls"]


def test_an_open_loop_can_be_asked_for() -> None:
    job = Job("io_uring", queue_depth=8, rate=5000)
    with Workload("io_engines", job.arguments(ios=97)) as run:
        told = run.go()
    assert (told["rate"], told["offered_ios"], told["service_ns"]["count"]) == (5000, 97, 97)


def test_the_file_is_large_enough_for_the_depth() -> None:
    assert Job("pool", queue_depth=32, block_bytes=MIB).file_bytes == 8 * 32 * MIB
    assert Job().file_bytes == Job("libaio", queue_depth=2).file_bytes >= 4 * MIB
    assert Job(file_bytes=12345).file_bytes == 12345


def test_a_file_that_finds_no_room_is_smaller_and_raises_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job("pool", queue_depth=32, block_bytes=256 << 10, cache="cold")
    usage = jobs.shutil.disk_usage("/")
    monkeypatch.setattr(jobs.shutil, "disk_usage", lambda _: usage._replace(free=2 * 40 * MIB))
    with shared_file([job]) as file:
        assert file is not None and file.stat().st_size == 40 * MIB
        with Workload("io_engines", job.arguments(ios=101, file=file)) as run:
            told = run.go()
    (doubt,) = (each for each in doubts(job, told) if "data file" in each)
    assert "40 MiB instead of 64 MiB" in doubt


def honest(job: Job, **more: Any) -> dict[str, Any]:
    """What a run that did all it claims would say."""
    return {
        "bytes": 1000 * job.block_bytes,
        "ios": 1000,
        "device_read_bytes": 1000 * job.block_bytes,
        "in_flight": 7.9,
        "device_write_bytes": 1000 * job.block_bytes,
        "file_bytes": job.file_bytes,
        "filesystem": "ext4",
        "file_bytes_wanted": job.file_bytes,
        "resident_pages": job.file_bytes // os.sysconf("SC_PAGE_SIZE"),
        **more,
    }


@pytest.mark.parametrize(
    ("given", "told", "said"),
    [
        ({"cache": "direct"}, {"device_read_bytes": 3_600_000}, "only 88 % of the bytes came from a device"),
        ({"cache": "cold"}, {"device_read_bytes": 0}, "only 0 % of the bytes came from a device"),
        ({"operation": "write"}, {"device_write_bytes": 0}, "only 0 % of the bytes went to a device"),
        ({"cache": "warm"}, {"resident_pages": 17}, "only 17 of "),
        ({}, {"in_flight": 6.3}, "only 6.3 of 8 I/Os were in flight"),
        ({}, {"file_bytes": 4 * MIB, "file_bytes_wanted": 16 * MIB}, "4 MiB instead of 16 MiB"),
        ({"cache": "warm"}, {"device_read_bytes": 0}, None),
        ({"cache": "warm", "operation": "write"}, {"device_write_bytes": 0}, None),
        ({}, {"in_flight": 6.4}, None),
        ({}, {"in_flight": 1.0, "ios": 159}, None),
        ({"rate": 100}, {"in_flight": 0.1}, None),
        ({"operation": "write", "durable": "every", "sync_every": 8}, {"in_flight": 3.0}, None),
    ],
)
def test_what_a_witness_does_not_confirm_is_a_doubt(
    given: dict[str, Any], told: dict[str, Any], said: str | None
) -> None:
    job = Job("pool", **{"queue_depth": 8, **given})
    found = doubts(job, honest(job, **told))
    assert (said is None and found == []) or (said is not None and len(found) == 1 and said in found[0])


@pytest.mark.parametrize(("page_bytes", "said"), [(4096, []), (16384, ["16384 bytes"]), (65536, ["65536 bytes"])])
def test_blocks_that_share_a_page_are_not_all_cold(
    page_bytes: int, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job("pool", cache="cold", queue_depth=8)
    told = honest(job)
    monkeypatch.setattr("os.sysconf", lambda name: page_bytes)
    found = doubts(job, told)
    assert len(found) == len(said) and all(f"a page of this kernel has {size}" in found[0] for size in said)


@pytest.mark.parametrize("absent", ["device_read_bytes", "resident_pages", "in_flight"])
def test_what_the_kernel_does_not_say_raises_no_doubt(absent: str) -> None:
    job = Job("pool", queue_depth=8)
    told = honest(job)
    del told[absent]
    assert doubts(job, told) == []
