# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: each call is timed once, every bucket is accounted for, and the stages of an I/O add up to its latency.

Witnesses: the program's own count, strace, bpftrace, fio, fincore.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from witness import bpftrace

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import BadArgument, LabkitError, Stopped, WorkloadError
from labkit.lessons import syscall_latency
from labkit.lessons._io import job
from labkit.lessons._io.job import Job
from labkit.lessons.syscall_latency import exercises, io_stages
from labkit.lessons.syscall_latency.io_stages import (
    COMPLETED,
    ENTERED,
    ISSUED,
    QUEUED,
    RETURNED,
    RUNNING,
    STAGES,
    join,
)
from labkit.running import truths
from labkit.running.workload import Workload

bpf = pytest.mark.bpf
pytestmark = pytest.mark.programs_kept


@bpf
@pytest.mark.parametrize("operation", ["read", "write"])
def test_the_timer_counts_the_calls_that_the_program_made(operation: str) -> None:
    for cache in syscall_latency.CACHES:
        frame = syscall_latency.histogram(ios=211, cache=cache, operation=operation)
        facts = frame.attrs["lost_events"], frame.attrs["warnings"]
        assert (frame["count"].sum(), *facts) == (211, 0, [])  # together: if calls are missing, the lost ones say why
        assert frame["ios"].unique().tolist() == [211]
        assert frame["latency_ns"].is_monotonic_increasing


@bpf
def test_a_timer_that_saw_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Program, "attach", lambda self: None)
    with pytest.raises(LabkitError, match="The timer saw none of the 23 calls"):
        syscall_latency.histogram(ios=23, cache="warm")


@bpf
def test_calls_that_the_timer_did_not_see_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    go = Workload.go

    def one_more(run: Workload, **options: Any) -> dict[str, Any]:
        told = go(run, **options)
        return {**told, "ios": told["ios"] + 1}

    assert syscall_latency.histogram(ios=23, cache="warm").attrs["warnings"] == []
    monkeypatch.setattr(Workload, "go", one_more)
    for frame in (
        syscall_latency.histogram(ios=23, cache="warm"),
        syscall_latency.measure(4096, "warm", seconds=0.01, slices=1),
    ):
        assert any(said.startswith("The timer missed 1 of ") for said in frame.attrs["warnings"])


@bpf
def test_a_sweep_has_a_row_per_setting_and_counts_each_call() -> None:
    frame = syscall_latency.measure((512, 65536), ("direct", "warm"), seconds=0.02, slices=2)
    assert frame[["cache", "block_bytes"]].to_numpy().tolist() == [
        ["direct", 512],
        ["direct", 65536],
        ["warm", 512],
        ["warm", 65536],
    ]
    assert (frame["count"] == frame["ios"]).all() and (frame["ios"] > 0).all()
    assert (frame["p25_ns"] <= frame["p50_ns"]).all() and (frame["p50_ns"] <= frame["p75_ns"]).all()
    assert (frame["p99_ns"].isna() == (frame["count"] < 1000)).all()  # too few calls lie above it


@bpf
def test_writes_are_swept_too() -> None:
    frame = syscall_latency.measure(4096, "direct", "write", seconds=0.02, slices=1)
    assert frame["operation"].tolist() == ["write"]
    assert (frame["count"] == frame["ios"]).all()


@bpf
def test_the_heat_map_holds_each_call_once_with_and_without_a_neighbour() -> None:
    for neighbour in (True, False):
        frame = syscall_latency.heat_map(seconds=0.6, neighbour=neighbour)
        assert [frame["count"].sum()] == frame["ios"].unique().tolist()
        assert set(frame["neighbour"]) == ({"at work", "away"} if neighbour else {"away"})
        at_work = frame.loc[frame["neighbour"] == "at work", "elapsed_s"]
        assert at_work.between(0.2 - 0.01, 0.2 + 0.2 + 0.2).all()  # it starts in the middle third


@bpf
def test_every_witness_counts_the_same() -> None:
    frame = syscall_latency.witnesses(ios=101)
    installed = [tool for tool in ("strace", "bpftrace", "fio") if shutil.which(tool)]
    assert frame["witness"].tolist() == ["the program itself", "eBPF timer", *installed]
    assert frame["count"].tolist() == [101] * len(frame)


@bpf
def test_a_witness_that_is_missing_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    frame = syscall_latency.witnesses(ios=23)
    assert frame["witness"].tolist() == ["the program itself", "eBPF timer"]
    assert len(frame.attrs["warnings"]) == 3
    assert "strace" not in syscall_latency.cost(seconds=0.01, slices=2)["arm"].tolist()


@bpf
def test_a_witness_that_cannot_watch_is_left_out_and_the_others_are_heard(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("strace", "bpftrace", "fio"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{name}: Operation not permitted' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    frame = syscall_latency.witnesses(ios=23)
    assert frame["witness"].tolist() == ["the program itself", "eBPF timer"]
    for name, warning in zip(("strace", "bpftrace", "fio"), frame.attrs["warnings"], strict=True):
        assert warning.startswith(f"{name} is left out: ") and f"{name}: Operation not permitted Fix: " in warning
    costs = syscall_latency.cost(seconds=0.01, slices=2)
    assert "strace" not in costs["arm"].tolist() and "eBPF timer" in costs["arm"].tolist()
    (warning,) = costs.attrs["warnings"]
    assert warning.startswith("strace is left out: ") and "Operation not permitted" in warning


@bpf
def test_what_watching_costs_is_reported_for_each_watcher() -> None:
    frame = syscall_latency.cost(seconds=0.1, slices=2)
    added = syscall_latency.added(frame).set_index("arm")
    assert {"eBPF timer", "eBPF stages", "nobody watches (again)"} <= set(added.index)
    assert (added["low_ns"] <= added["high_ns"]).all()
    assert set(frame["call"]) == {"pread64"} and set(frame["cache"]) == {"warm"}


@bpf
def test_a_bystander_is_timed_with_either_hook_and_is_not_counted() -> None:
    frame = syscall_latency.bystander(20_000, slices=2)
    assert set(frame["arm"]) == {
        "no timer",
        "no timer (again)",
        "timer on tracepoints of one call",
        "timer on raw tracepoints of all calls",
    }
    assert frame["call"].unique().tolist() == ["getppid"] and (frame["ns_per_call"] > 0).all()
    added = syscall_latency.added(frame)
    assert len(added) == 3 and (added["low_ns"] <= added["high_ns"]).all()


@bpf
def test_a_slice_in_which_no_read_ends_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {"elapsed_s": 0.01, "ios": 0}
    monkeypatch.setattr(Workload, "go", lambda *_, **__: nothing)
    with pytest.raises(WorkloadError, match=r"Not one read ended in a slice of 0\.01 s"):
        syscall_latency.cost(seconds=0.01, slices=2)


@bpf
@pytest.mark.parametrize(
    ("operation", "cache", "goes_to_the_disk"),
    [("read", "direct", True), ("read", "cold", True), ("read", "warm", False), ("write", "direct", True)],
)
def test_the_stages_of_each_io_add_up_to_what_the_program_measured(
    operation: str, cache: str, goes_to_the_disk: bool
) -> None:
    frame = syscall_latency.stages((4096, 1 << 20), ios=53, cache=cache, operation=operation)
    # a kernel was seen, in a virtual machine, that now and then runs no BPF program in an interrupt, and counts nothing
    # (ftrace saw the completions that programs of either kind of tracepoint did not): such an I/O is left out, and said
    missing = 2 * 53 - len(frame)
    assert 0 <= missing <= 20 and sum("left out" in each for each in frame.attrs["warnings"]) == (missing > 0)
    assert (frame[list(STAGES)].sum(axis=1) == frame["latency_ns"]).all()
    assert (frame[["before_ns", *STAGES, "after_ns"]].sum(axis=1) == frame["program_ns"]).all()
    # the kernel's stamps lie between the program's: each part of the sum is a time that passed
    assert (frame[["before_ns", *STAGES, "after_ns"]] >= 0).all(axis=None)
    told = syscall_latency.closure(frame)
    assert told[["reads", "negative_before", "negative_after"]].tolist() == [len(frame), 0, 0]
    assert frame["block_bytes"].value_counts().ge(33).to_dict() == {4096: True, 1 << 20: True}
    assert ((frame["block_requests"] > 0) == goes_to_the_disk).all()


@bpf
def test_rates_come_from_slices_in_which_nothing_is_attached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Witness: /proc/PID/fdinfo of this process says whether a BPF program is attached when a slice starts."""
    attached: list[int] = []
    start = Workload.start

    def look(self: Workload) -> None:
        links = [
            os.readlink(f"/proc/self/fd/{fd}")
            for fd in os.listdir("/proc/self/fd")
            if os.path.islink(f"/proc/self/fd/{fd}")
        ]
        attached.append(links.count("anon_inode:[perf_event]"))
        start(self)

    monkeypatch.setattr(Workload, "start", look)
    syscall_latency.measure(4096, "warm", seconds=0.02, slices=3)
    assert len(attached) == 9
    assert attached.count(0) == 6  # as many slices unwatched as watched, and those of the A/A arm


@bpf
def test_bpftrace_counts_the_same_requests() -> None:
    script = """
        tracepoint:syscalls:sys_enter_pread64 /pid == PID/ { @inside[tid] = 1; }
        tracepoint:block:block_getrq /@inside[tid]/ { @made = count(); }
        tracepoint:syscalls:sys_exit_pread64 /@inside[tid]/ { delete(@inside[tid]); }"""
    with (
        Workload("io_engines", Job().arguments(ios=53)) as run,
        bpftrace(script.replace("PID", str(run.pid))) as witness,
    ):
        run.go()
        told = witness.end()
    assert re.search(r"@made: 53\b", told), told
    frame = syscall_latency.stages(4096, ios=53)
    assert frame["block_requests"].sum() == len(frame) >= 33


@bpf
def test_the_breakdown_adds_up_to_the_whole() -> None:
    parts = syscall_latency.breakdown(syscall_latency.stages((4096, 16384), ios=31))
    assert parts.groupby("block_bytes")["share"].sum().round(9).tolist() == [1.0, 1.0]


@bpf
def test_reads_of_missing_pages_go_to_the_disk_and_no_others(
    monkeypatch: pytest.MonkeyPatch, data_folder: Path
) -> None:
    present: list[int] = []

    def ring(*arguments: Any, **more: Any) -> Any:
        (path,) = data_folder.glob("labkit-*/blocks")
        told = subprocess.run(["fincore", "-n", "-o", "pages", path], capture_output=True, text=True, check=True)
        present.append(int(told.stdout))
        return plain_ring(*arguments, **more)

    plain_ring = io_stages.RingReader
    monkeypatch.setattr(io_stages, "RingReader", ring)
    frame = syscall_latency.cached(ios=61)
    requests, missing = (frame["block_requests"] > 0).sum(), 61 - len(frame)
    assert missing <= 8 and requests == truths.expected("06-q2")
    assert 61 - present[0] - missing <= requests <= 61 - present[0]
    assert (frame.loc[frame["block_requests"] == 0, "device_ns"] == 0).all()


@bpf
def test_the_suspect_alone_makes_requests() -> None:
    frame = syscall_latency.suspects(processes=3, ios=23)
    requests = frame.groupby("pid")["block_requests"].sum()
    assert 3 * 23 - 8 <= len(frame) <= 3 * 23  # see above
    assert requests[requests > 0].index.tolist() == [truths.expected("06-q3")]


@bpf
def test_the_mystery_is_answered_by_the_sum_of_the_buckets() -> None:
    frame = syscall_latency.mystery()
    assert frame["count"].sum() == truths.expected("06-q1")
    assert "ios" not in frame and "command" not in frame.attrs


@bpf
def test_the_slowest_stage_is_that_of_the_largest_mean() -> None:
    frame = syscall_latency.slowest_stage()
    assert "cache" not in frame
    # the recipe of the hint, and the one over the middle half
    assert frame[list(STAGES)].mean().idxmax() == truths.expected("06-q4")
    assert syscall_latency.middle_half(frame)[list(STAGES)].mean().idxmax() == truths.expected("06-q4")


def test_a_run_whose_few_slow_reads_change_the_slowest_stage_is_not_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """99 reads that wait for the device, and one that waited for the file system as long as all others together."""
    usual = dict.fromkeys(STAGES, 10) | {"device_ns": 100}
    rows = [{"cache": "direct", "operation": "read", "block_bytes": 4096, **usual, "program_ns": 150}] * 99
    rows.append({**rows[0], "file_system_ns": 10**6, "program_ns": 10**6})
    unsteady = schema.frame(rows, command="")
    steady = schema.frame(rows[:99], command="")
    runs = iter([unsteady, unsteady, steady])
    monkeypatch.setattr(exercises, "stages", lambda *_, **__: next(runs))
    assert len(syscall_latency.slowest_stage()) == 99
    assert truths.expected("06-q4") == "device_ns"
    monkeypatch.setattr(exercises, "stages", lambda *_, **__: unsteady)
    with pytest.raises(LabkitError, match="steady enough"):
        syscall_latency.slowest_stage()


@bpf
def test_stop_ends_each_measurement() -> None:
    def stop(share: float, note: str) -> None:
        if share > 0:
            raise Stopped

    for function in ("histogram", "measure", "heat_map", "stages", "witnesses", "cost", "bystander"):
        with pytest.raises(Stopped):
            getattr(syscall_latency, function)(progress=stop)


def test_a_full_disk_is_reported_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(LabkitError, match="no room"), job.shared_file([Job()]):
        pass


def events(*rows: tuple[int, int, int], io: int = 1, size: int = 4096) -> pd.DataFrame:
    """Records of one I/O: (time_ns, station, where)."""
    columns = [(time, io, where, 7, 7, station, size) for time, station, where in rows]
    return pd.DataFrame(columns, columns=["time_ns", "io", "where", "pid", "tid", "station", "bytes"])


WHOLE = ((0, ENTERED, 0), (10, QUEUED, 8), (30, ISSUED, 8), (70, COMPLETED, 8), (75, RUNNING, 0), (100, RETURNED, 4096))


def test_join_takes_the_time_between_two_stations() -> None:
    (row,) = join(events(*WHOLE)).to_dict("records")
    assert [row[stage] for stage in STAGES] == [10, 20, 40, 5, 25]


def test_join_without_a_request_leaves_all_to_the_file_system() -> None:
    (row,) = join(events((0, ENTERED, 0), (100, RETURNED, 4096))).to_dict("records")
    assert [row[stage] for stage in STAGES] == [100, 0, 0, 0, 0]
    assert row["block_requests"] == 0


def test_join_of_several_requests_is_with_the_device_from_the_first_to_the_last() -> None:
    more = ((12, QUEUED, 16), (40, ISSUED, 16), (60, COMPLETED, 16))
    (row,) = join(events(*WHOLE, *more)).to_dict("records")
    assert row["block_requests"] == 2
    assert [row[stage] for stage in STAGES] == [10, 20, 40, 5, 25]


def test_join_of_a_thread_that_never_slept_has_no_wake_up() -> None:
    (row,) = join(events(*(each for each in WHOLE if each[1] != RUNNING))).to_dict("records")
    assert [row[stage] for stage in STAGES] == [10, 20, 40, 0, 30]


def test_join_does_not_count_what_ends_after_the_call() -> None:
    late = tuple((time + 60 if station == COMPLETED else time, station, where) for time, station, where in WHOLE)
    (row,) = join(events(*late)).to_dict("records")
    assert sum(row[stage] for stage in STAGES) == 100
    assert row["wake_ns"] == row["return_ns"] == 0


@pytest.mark.parametrize("station", [ENTERED, ISSUED, COMPLETED, RETURNED])
def test_join_leaves_an_io_out_of_which_a_record_is_missing(station: int) -> None:
    other = events(*((time + 1000, station, where) for time, station, where in WHOLE), io=2)
    torn = events(*(each for each in WHOLE if each[1] != station))
    assert join(pd.concat([torn, other]))["io"].tolist() == [2]


@pytest.mark.parametrize(
    ("shift", "negative"), [(0, (0, 0)), (1, (4, 0)), (-1, (0, 4))], ids=["its own", "the one before", "the one after"]
)
def test_the_closure_shows_records_of_another_io_though_the_stages_still_add_up(
    shift: int, negative: tuple[int, int], tmp_path: Path
) -> None:
    """Five reads of one block, 1000 ns apart: each next to the kernel's records of itself, or of a neighbour."""
    own = np.zeros(5, dtype=job._RECORD)
    own["submit_ns"] = 10_000 + 1000 * np.arange(5)
    own["complete_ns"] = own["submit_ns"] + 300
    own.tofile(tmp_path / "timeline")
    began = [int(time) + 70 for time in own["submit_ns"]]
    joined = join(pd.concat([events(*((at + t, s, w) for t, s, w in WHOLE), io=n + 1) for n, at in enumerate(began)]))
    frame = io_stages._with_program(joined.assign(io=joined["io"] + shift), tmp_path / "timeline", Job())
    assert (frame[["before_ns", *STAGES, "after_ns"]].sum(axis=1) == frame["program_ns"]).all()
    told = syscall_latency.closure(frame)
    assert told.to_dict() == {
        "reads": 5 - abs(shift),
        "outside_median_ns": 200.0,
        "negative_before": negative[0],
        "negative_after": negative[1],
    }


def test_join_of_nothing_is_an_empty_frame() -> None:
    assert join(events()).empty


@pytest.mark.parametrize(
    ("function", "arguments", "told"),
    [
        ("histogram", {"ios": 0}, "ios=0"),
        ("histogram", {"ios": 2.5}, "ios=2.5"),
        ("histogram", {"block_bytes": 0}, "block_bytes=0"),
        ("histogram", {"block_bytes": -4096}, "block_bytes=-4096"),
        ("histogram", {"block_bytes": 8 << 20}, "512 to 4194304 bytes"),
        ("histogram", {"block_bytes": 1000}, "block_bytes=1000 .*\n.*multiple of 512"),
        ("histogram", {"block_bytes": 1001, "cache": "warm"}, "multiple of 8"),
        ("histogram", {"cache": "warmer"}, "cache='warmer'.*did you mean 'warm'"),
        ("histogram", {"operation": "append"}, "operation='append'"),
        ("measure", {"block_bytes": []}, r"block_bytes=\[\]"),
        ("measure", {"block_bytes": [4096, 3]}, "block_bytes=3"),
        ("measure", {"block_bytes": "4096"}, "block_bytes='4096'"),
        ("measure", {"cache": []}, r"cache=\[\]"),
        ("measure", {"cache": "hot"}, "cache='hot'"),
        ("measure", {"operation": None}, "operation=None"),
        ("measure", {"seconds": 0}, "seconds=0"),
        ("measure", {"seconds": 1e9}, "0.01 to 60 seconds"),
        ("measure", {"slices": 0}, "slices=0"),
        ("heat_map", {"seconds": 0.1}, "seconds=0.1"),
        ("heat_map", {"seconds": float("nan")}, "seconds=nan"),
        ("heat_map", {"block_bytes": 513}, "block_bytes=513"),
        ("heat_map", {"cache": ""}, "cache=''"),
        ("stages", {"ios": 20_001}, "1 to 20000 I/Os"),
        ("stages", {"block_bytes": ()}, r"block_bytes=\(\)"),
        ("stages", {"cache": 3}, "cache=3"),
        ("stages", {"operation": "reed"}, "did you mean 'read'"),
        ("witnesses", {"ios": -1}, "ios=-1"),
        ("witnesses", {"block_bytes": True}, "block_bytes=True"),
        ("witnesses", {"cache": "x"}, "cache='x'"),
        ("cost", {"seconds": 0}, "seconds=0"),
        ("cost", {"slices": 1}, "slices=1"),
        ("cost", {"cache": "tepid"}, "cache='tepid'"),
        ("cost", {"block_bytes": 513}, "block_bytes=513"),
        ("bystander", {"calls": 10}, "calls=10"),
        ("bystander", {"slices": 0}, "slices=0"),
        ("cached", {"ios": 10}, "ios=10"),
        ("suspects", {"processes": 1}, "processes=1"),
        ("suspects", {"ios": 1000}, "ios=1000"),
    ],
)
def test_bad_arguments_are_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, function: str, arguments: dict[str, object], told: str
) -> None:
    monkeypatch.setattr(Workload, "__enter__", lambda self: pytest.fail("a program was started"))
    with pytest.raises(BadArgument, match=told):
        getattr(syscall_latency, function)(**arguments)
