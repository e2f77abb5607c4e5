# SPDX-License-Identifier: Apache-2.0
"""Lesson 02's claims: counts against the workload's own, what each way loses, what a full map says."""

from __future__ import annotations

import ctypes
import json
import mmap
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labkit.bpf.program as engine
from labkit.bpf.bcc import online_cpus
from labkit.bpf.text import BPF_FOLDER
from labkit.errors import BadArgument, LabkitError
from labkit.lessons import maps
from labkit.lessons.maps.lost_updates import WAYS
from labkit.running import truths
from labkit.running.workload import Workload

bpf = pytest.mark.bpf
pytestmark = pytest.mark.programs_kept


@bpf
def test_an_atomic_and_a_per_cpu_count_miss_nothing_and_a_racy_one_never_counts_too_much() -> None:
    frame = maps.measure(calls=20_011, threads=2, slices=2, seed=1)
    assert set(frame.loc[frame["arm"].isin(maps.WAYS), "calls"]) == {2 * 20_011}
    exact = frame[frame["arm"].isin(["atomic array", "per-CPU array"])]
    assert (exact["count"] == exact["calls"]).all()
    racy = frame[frame["arm"].isin(["array", "hash with increment()"])]
    assert (racy["count"] <= racy["calls"]).all()
    assert (racy["count"] > 0).all()
    assert (frame.loc[frame["arm"].isin(maps.WAYS), "lost_updates"] >= 0).all()


@bpf
@pytest.mark.parametrize("way", list(maps.WAYS))
def test_one_thread_alone_loses_nothing(way: str) -> None:
    frame = maps.measure(calls=9973, threads=1, ways=way, slices=2)
    assert set(frame.loc[frame["arm"] == way, "count"]) == {9973}


@bpf
def test_the_cost_table_has_each_way_and_the_noise() -> None:
    frame = maps.costs(maps.measure(calls=1009, ways=["array"], slices=3))
    assert list(frame["arm"]) == ["array", "no program (again)"]
    assert (frame["low_ns"] <= frame["added_ns"]).all()
    assert (frame["added_ns"] <= frame["high_ns"]).all()


@bpf
def test_each_cpu_counts_its_own_threads() -> None:
    frame = maps.per_cpu(calls=997, threads=2)
    assert frame["count"].sum() == 2 * 997 and set(frame["calls"]) == {2 * 997}
    assert set(frame["count"]) <= {0, 997, 2 * 997}


@bpf
def test_a_lookup_without_a_test_is_refused_at_its_line() -> None:
    said = maps.forgotten_test()
    text = (BPF_FOLDER / "maps_no_test.c").read_text().splitlines()
    line = next(number for number, text in enumerate(text, start=1) if "*count += 1" in text)
    assert said.startswith(f"maps_no_test.c:{line}: ")


@bpf
def test_a_pair_by_thread_is_never_shorter_than_the_sleep() -> None:
    frame = maps.pairs(calls=23, sleep_us=500, threads=3)
    right = frame[frame["key"] == "thread"]
    assert len(right) == 3 * 23 and set(frame["calls"]) == {3 * 23}
    assert (frame.loc[frame["key"] == "thread", "unpaired"] == 0).all()
    assert (right["latency_ns"] >= right["asked_ns"]).all()
    assert set(right.groupby("tid")["asked_ns"].first()) == {500_000, 1_000_000, 1_500_000}


@bpf
def test_with_one_slot_every_exit_is_a_pair_or_is_counted_as_unpaired() -> None:
    frame = maps.pairs(calls=23, sleep_us=500, threads=2, keys="one slot")
    assert len(frame) + frame["unpaired"].iloc[0] == frame["calls"].iloc[0] == 2 * 23


@bpf
def test_histograms_hold_every_write_in_the_right_bar() -> None:
    frame = maps.sizes(600, 1000, 400, calls=1009, bar_bytes=100, bars=20)
    for _, bars in frame.groupby("histogram"):
        assert bars["count"].sum() == 1009
    assert _bars(frame, "log2") == {(512, 1023): 1009}
    assert _bars(frame, "linear") == {(600, 699): 505, (1000, 1099): 504}


@bpf
def test_what_lies_outside_the_linear_bars_is_counted_too() -> None:
    frame = maps.sizes(1, 10, 1, calls=100, first_bytes=4, bar_bytes=2, bars=2)
    assert _bars(frame, "linear") == {(0, 3): 30, (4, 5): 20, (6, 7): 20, (8, 1 << 20): 30}


@bpf
def test_every_power_of_two_begins_a_bar_of_the_log2_histogram() -> None:
    frame = maps.sizes(1, 64, 1, calls=64)
    assert _bars(frame, "log2") == {
        (1, 1): 1,
        (2, 3): 2,
        (4, 7): 4,
        (8, 15): 8,
        (16, 31): 16,
        (32, 63): 32,
        (64, 127): 1,
    }


@bpf
@pytest.mark.parametrize("times", [1, 3])
def test_a_full_hash_keeps_the_first_keys_and_says_how_much_it_refused(times: int) -> None:
    frame = maps.full(keys=97, entries=64, times=times).set_index("arm")
    assert frame.loc["hash", ["kept", "count", "refused"]].tolist() == [64, 64 * times, 33 * times]
    assert frame.loc["hash", ["low_bytes", "high_bytes"]].tolist() == [1, 64]
    assert any("refused" in warning for warning in frame.attrs["warnings"])


@bpf
def test_an_lru_hash_refuses_nothing_and_has_the_newest_key() -> None:
    row = maps.full(keys=997, entries=64).set_index("arm").loc["LRU hash"]
    assert row["refused"] == 0
    assert 0 < row["kept"] <= 64
    assert row["high_bytes"] == 997


@bpf
def test_a_map_with_room_refuses_nothing() -> None:
    frame = maps.full(keys=61, entries=64, times=2).set_index("arm")
    assert frame.loc["hash", ["kept", "count", "refused"]].tolist() == [61, 122, 0]
    assert frame.attrs["warnings"] == []


@bpf
def test_a_ring_buffer_keeps_the_order_in_which_things_happened() -> None:
    frame = maps.order(turns=499)
    ring = frame[frame["arm"] == "ring buffer"]
    assert ring["event_number"].tolist() == list(range(1, 999))
    assert ring["time_ns"].is_monotonic_increasing


@bpf
def test_a_perf_buffer_keeps_the_order_of_each_cpu_only() -> None:
    frame = maps.order(turns=499)
    perf = frame[frame["arm"] == "perf buffer"]
    assert sorted(perf["event_number"]) == list(range(1, 999))
    for _, events in perf.groupby("cpu"):
        assert events["event_number"].is_monotonic_increasing
    if perf["cpu"].nunique() > 1:  # one whole CPU comes before the other
        assert not perf["event_number"].is_monotonic_increasing
        assert (np.diff(perf["cpu"]) != 0).sum() == perf["cpu"].nunique() - 1


@bpf
def test_no_record_is_lost_in_silence() -> None:
    frame = maps.channels(calls=2003, threads=2, pages=512, slices=2)
    assert (frame["records"] == 2 * 2003).all()
    sent = frame[frame["arm"].isin(maps.CHANNELS)]
    assert (sent["received"] == sent["records"]).all()
    assert frame.attrs["lost_events"] == 0


@bpf
def test_a_channel_that_is_too_small_says_what_it_lost() -> None:
    calls = 2003 * (mmap.PAGESIZE // 4096)
    frame = maps.channels(calls=calls, threads=1, pages=2, slices=2)
    sent = frame[frame["arm"].isin(maps.CHANNELS)]
    assert (sent["received"] + sent["lost_events"] == calls).all()
    assert (sent["lost_events"] > 0).all()
    assert frame.attrs["lost_events"] == sent["lost_events"].sum()
    # 16 bytes and a head of 8 for each, in two pages that end before the writer would overtake the reader
    assert set(sent.loc[sent["arm"].str.startswith("ring"), "received"]) == {2 * mmap.PAGESIZE // 24}


@bpf
@pytest.mark.parametrize("pages", [8, 32])
def test_a_perf_buffer_holds_its_cpus_share_less_one_record_and_a_ring_buffer_all_its_room(pages: int) -> None:
    frame = maps.channels(calls=5003, threads=1, pages=pages, slices=2)
    received = {arm: set(rows["received"]) for arm, rows in frame.groupby("arm")}
    share = 1 << max(pages // len(online_cpus()), 1).bit_length() - 1
    assert received["perf buffer"] == {min(share * mmap.PAGESIZE // 32 - 1, 5003)}
    assert received["ring buffer"] == {min(pages * mmap.PAGESIZE // 24, 5003)}


def test_bpftool_sees_the_map_types_that_the_lesson_speaks_of() -> None:
    with engine.Program("maps_full", flags={"ENTRIES": 64}) as program:
        for name, kind in {"first_come": "hash", "last_used": "lru_hash", "refused": "percpu_array"}.items():
            assert _bpftool_map(program, name)["type"] == kind
        assert _bpftool_map(program, "first_come")["max_entries"] == 64


@bpf
def test_bpftool_reads_the_same_from_a_hash() -> None:
    with engine.Program("maps_full", flags={"ENTRIES": 64}) as program:
        program.table("first_come")[ctypes.c_uint32(23)] = ctypes.c_uint64(97)
        number = _bpftool_map(program, "first_come")["id"]
        told = subprocess.run(["bpftool", "-j", "map", "dump", "id", str(number)], capture_output=True, check=True)
        (entry,) = json.loads(told.stdout)
        assert [int(byte, 16) for byte in entry["key"]] == [23, 0, 0, 0]
        assert program.hash("first_come") == {23: 97}


@bpf
def test_the_slow_thread_is_the_one_that_the_exercise_asks_for() -> None:
    frame = maps.slow_thread(threads=3)
    assert truths.expected("02-q1") == frame.groupby("tid")["latency_ns"].min().idxmax()


@bpf
def test_kept_and_refused_together_are_the_hidden_number_of_sizes() -> None:
    frame = maps.too_many_sizes()
    assert truths.expected("02-q2") == int(frame["kept"].iloc[0] + frame["refused"].iloc[0])
    assert "--largest" not in str(frame.attrs["command"])


@bpf
def test_narrow_bars_find_the_hidden_size() -> None:
    first_bytes = int(_linear(maps.hidden_size(512, 8, 64))["low_bytes"].iloc[0])
    found = _linear(maps.hidden_size(first_bytes, 1, 8))  # the same size as before
    assert list(found["low_bytes"]) == list(found["high_bytes"]) == [truths.expected("02-q3")]


@bpf
@pytest.mark.parametrize(
    ("declaration", "named"),
    [("BPF_HASH(nothing, u32, u64, 0);", "nothing"), ("BPF_RINGBUF_OUTPUT(three, 3);", "three")],
)
def test_a_map_that_the_kernel_refuses_is_named(tmp_path: Path, declaration: str, named: str) -> None:
    path = tmp_path / "learner.c"
    path.write_text(
        f'#include "labkit.h"\n{declaration}\nTRACEPOINT_PROBE(syscalls, sys_enter_getppid) {{ return 0; }}\n'
    )
    with pytest.raises(LabkitError, match=named), engine.Program(source=path):
        pass


BAD = [
    (maps.measure, {"calls": 0}, "calls"),
    (maps.measure, {"calls": 1.5}, "calls"),
    (maps.measure, {"threads": 65}, "threads"),
    (maps.measure, {"slices": 1}, "slices"),
    (maps.measure, {"ways": []}, "ways"),
    (maps.measure, {"ways": ["aray"]}, "did you mean 'array'"),
    (maps.per_cpu, {"calls": 0}, "calls"),
    (maps.per_cpu, {"threads": 0}, "threads"),
    (maps.pairs, {"calls": 0}, "calls"),
    (maps.pairs, {"sleep_us": 0}, "sleep_us"),
    (maps.pairs, {"threads": "two"}, "threads"),
    (maps.pairs, {"keys": ["process"]}, "keys"),
    (maps.pairs, {"keys": []}, "keys"),
    (maps.sizes, {"smallest": 0}, "smallest"),
    (maps.sizes, {"smallest": 9, "largest": 8}, "largest"),
    (maps.sizes, {"step": 0}, "step"),
    (maps.sizes, {"calls": 0}, "calls"),
    (maps.sizes, {"first_bytes": -1}, "first_bytes"),
    (maps.sizes, {"bar_bytes": 0}, "bar_bytes"),
    (maps.sizes, {"bars": 251}, "bars"),
    (maps.full, {"keys": 0}, "keys"),
    (maps.full, {"entries": 0}, "a map with no room"),
    (maps.full, {"times": 101}, "times"),
    (maps.order, {"turns": 0}, "turns"),
    (maps.channels, {"calls": 0}, "calls"),
    (maps.channels, {"threads": 0}, "threads"),
    (maps.channels, {"pages": 3}, "a power of two"),
    (maps.channels, {"pages": 0}, "a power of two"),
    (maps.channels, {"pages": True}, "a power of two"),
    (maps.channels, {"slices": 1}, "slices"),
    (maps.slow_thread, {"threads": 1}, "threads"),
]


@pytest.mark.parametrize(("function", "arguments", "said"), BAD)
def test_a_bad_argument_is_named_and_nothing_is_started(
    function: Callable[..., Any], arguments: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for started in (engine.Program, Workload):
        monkeypatch.setattr(started, "__enter__", lambda self: pytest.fail(f"{self} was started"))
    with pytest.raises(BadArgument) as caught:
        function(**arguments)
    assert said in str(caught.value)


def _linear(frame: Any) -> Any:
    return frame[frame["histogram"] == "linear"]


def _bars(frame: Any, histogram: str) -> dict[tuple[int, int], int]:
    chosen = frame[frame["histogram"] == histogram]
    return {
        (int(low), int(high)): int(n)
        for low, high, n in zip(chosen.low_bytes, chosen.high_bytes, chosen["count"], strict=True)
    }


def _bpftool_map(program: engine.Program, name: str) -> dict[str, Any]:
    number = engine.maps.shape(program.map_fd(name)).id
    told = subprocess.run(["bpftool", "-j", "map", "show", "id", str(number)], capture_output=True, check=True)
    shown = json.loads(told.stdout)
    return dict(shown[0] if isinstance(shown, list) else shown)


def test_the_names_of_the_arms_have_no_commas() -> None:
    assert [way for way in WAYS if "," in way] == []
