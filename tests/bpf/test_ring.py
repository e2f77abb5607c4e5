# SPDX-License-Identifier: Apache-2.0
"""Every event of a ring buffer arrives, in order, or is counted as lost."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from labkit.bpf import ring
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader, record_dtype
from labkit.errors import BadArgument
from labkit.running.workload import Workload

pytestmark = pytest.mark.bpf

CALLS = """
#include "labkit.h"
struct call_event { u64 number; u64 time_ns; u32 pid; char comm[12]; };	/* 32 bytes */
BPF_RINGBUF_OUTPUT(events, PAGES);
BPF_ARRAY(numbers, u64, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	int first = 0;
	u64 *number;
	struct call_event *event;

	if (!labkit_is_target())
		return 0;
	number = numbers.lookup(&first);
	if (!number)
		return 0;
	*number += 1;
	event = events.ringbuf_reserve(sizeof(*event));
	if (!event) {
		labkit_count_lost();
		return 0;
	}
	event->number = *number;
	event->time_ns = bpf_ktime_get_ns();
	event->pid = labkit_pid();
	bpf_get_current_comm(&event->comm, sizeof(event->comm));
	events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "calls.c"
    path.write_text(CALLS)
    return path


def collect(source: Path, calls: int, *, pages: int = 4096, max_events: int = 2_000_000) -> RingReader:
    with Program(source=source, flags={"PAGES": pages}) as program:
        with RingReader(program, "events", max_events=max_events) as reader:
            with Workload("hello", ["--getppid", str(calls)]) as run:
                program.aim(pid=run.pid)
                program.attach()
                assert run.go()["calls"] == calls
                program.detach()
            reader.stop()
            made = reader.frame()
        reader.made = made  # type: ignore[attr-defined]
        reader.pid = run.command  # type: ignore[attr-defined]
    return reader


def test_the_record_type_is_that_of_the_c_struct(source: Path) -> None:
    class CallEvent(ctypes.Structure):
        _fields_ = [
            ("number", ctypes.c_uint64),
            ("time_ns", ctypes.c_uint64),
            ("pid", ctypes.c_uint32),
            ("comm", ctypes.c_char * 12),
        ]

    with Program(source=source, flags={"PAGES": 8}) as program:
        dtype = record_dtype(program, "events")
    assert dtype.itemsize == ctypes.sizeof(CallEvent) == 32
    assert {name: dtype.fields[name][1] for name in dtype.names} == {  # type: ignore[index,union-attr]
        name: getattr(CallEvent, name).offset for name, _ in CallEvent._fields_
    }


@pytest.mark.parametrize("keeps_old", [False, True])
def test_what_was_in_the_ring_before_is_kept_only_if_it_is_wanted(source: Path, keeps_old: bool) -> None:
    with Program(source=source, flags={"PAGES": 64}) as program:
        with Workload("hello", ["--getppid", "211"]) as run:
            program.aim(pid=run.pid)
            program.attach()
            run.go()
            program.detach()
        with RingReader(program, "events", max_events=1000, keeps_old=keeps_old) as reader:
            reader.stop()
            assert reader.count == (211 if keeps_old else 0)


def test_every_event_arrives_in_order(source: Path) -> None:
    frame = collect(source, 10_007).made  # type: ignore[attr-defined]
    assert frame["number"].tolist() == list(range(1, 10_008))
    assert frame.attrs["lost_events"] == 0


def test_the_fields_arrive_intact(source: Path) -> None:
    frame = collect(source, 23).made  # type: ignore[attr-defined]
    assert frame["comm"].unique().tolist() == ["hello"]
    assert frame["pid"].nunique() == 1
    assert frame["time_ns"].is_monotonic_increasing


def test_a_million_events_arrive_or_are_counted_as_lost(source: Path) -> None:
    frame = collect(source, 1_000_000).made  # type: ignore[attr-defined]
    assert len(frame) + frame.attrs["lost_events"] == 1_000_000
    assert frame["number"].is_monotonic_increasing


def test_a_ring_too_small_counts_its_losses(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "DRAIN_EVERY_S", 3600.0)
    monkeypatch.setattr(RingReader, "_drain_until_stopped", lambda self: self._stopping.wait())
    frame = collect(source, 5_003, pages=1).made  # type: ignore[attr-defined]
    assert 0 < len(frame) < 5_003
    assert len(frame) + frame.attrs["lost_events"] == 5_003


def test_an_array_too_small_counts_its_losses(source: Path) -> None:
    frame = collect(source, 5_003, max_events=101).made  # type: ignore[attr-defined]
    assert frame["number"].tolist() == list(range(1, 102))
    assert frame.attrs["lost_events"] == 5_003 - 101


@pytest.mark.parametrize("bad", [0, -1, 1.5, "many", None])
def test_a_bad_capacity_is_named(source: Path, bad: object) -> None:
    with Program(source=source, flags={"PAGES": 8}) as program:
        with pytest.raises(BadArgument, match="max_events="):
            RingReader(program, "events", max_events=bad)  # type: ignore[arg-type]


def test_an_unknown_ring_is_named(source: Path) -> None:
    with Program(source=source, flags={"PAGES": 8}) as program:
        with pytest.raises(BadArgument, match="did you mean 'events'"):
            RingReader(program, "event")


@pytest.mark.parametrize("width", [4, 8, 12, 16, 20])
def test_text_is_decoded_like_any_c_string(width: int) -> None:
    words = ["a", "bb", "a", "", "abcdefghijklmnopqrst", "bb"]
    raw = np.array([word.encode() for word in words], dtype=f"S{width}")
    assert ring.column(raw).tolist() == [word[:width] for word in words]
