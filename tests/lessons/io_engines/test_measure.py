# SPDX-License-Identifier: Apache-2.0
"""Lesson 07: every engine moves the bytes it says; who calls what, overlaps, sleeps and punts is known from the kernel.

Witnesses: the program's own counts, strace, bpftrace, getrusage.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from running_kernel import since
from witness import bpftrace

from labkit import schema
from labkit.errors import BadArgument, LabkitError, Missing, Stopped, WorkloadError, WorkloadUnable
from labkit.lessons import io_engines
from labkit.lessons._io import watch
from labkit.lessons._io.job import ENGINES, Job
from labkit.lessons.io_engines import blocking, open_loop, rates, runs, timelines
from labkit.lessons.io_engines.runs import CALLS, attached, run_job, total
from labkit.machine.folders import repo_folder
from labkit.running import truths
from labkit.running.workload import Workload, build

bpf = pytest.mark.bpf
pytestmark = pytest.mark.programs_kept


def job(engine: str, **more: Any) -> Job:
    return Job(engine, **{"queue_depth": 1 if engine == "sync" else 8, **more})


@bpf
@pytest.mark.parametrize("operation", ["read", "write"])
def test_the_kernel_counts_the_calls_that_the_program_made(operation: str) -> None:
    with attached() as program:
        for engine in ENGINES:
            made = run_job(job(engine, operation=operation), ios=211, program=program)
            assert made.report["ios"] == 211 and made.report["bytes"] == 211 * 4096
            assert made.own_calls == made.seen.calls > 0
            assert made.latency.sum() == 211
            assert made.seen.lost == 0


@bpf
def test_only_the_calls_of_the_jobs_that_run_are_watched() -> None:
    """Each tracepoint takes time to detach, and what else runs pays for it meanwhile."""
    with attached(jobs=[job("io_uring")]) as program:
        watched = run_job(job("io_uring"), ios=211, program=program)
        assert watched.seen.calls == watched.own_calls > 0
        assert run_job(job("sync"), ios=211, program=program).seen.calls == 0


@bpf
def test_strace_counts_the_same_calls() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: run `make setup`")
    for engine in ENGINES:
        calls = [*job(engine).calls, "io_pgetevents"]  # of which newer versions of libaio make io_getevents()
        with Workload("io_engines", job(engine).arguments(ios=101)) as run:
            witness = subprocess.Popen(
                ["strace", "-c", "-e", f"trace={','.join(calls)}", "-p", str(run.pid)],
                stderr=subprocess.PIPE,
                text=True,
            )
            assert witness.stderr is not None and " attached" in witness.stderr.readline()
            told = run.go()
            table = witness.communicate(timeout=30)[1]
        rows = (line.split() for line in table.splitlines())
        counts = {row[-1].replace("pget", "get"): int(row[3]) for row in rows if len(row) > 4 and row[3].isdigit()}
        for call in job(engine).calls:
            assert counts[call] == told["calls"][call]


@bpf
def test_sleep_is_what_the_program_knows_of_its_context_switches() -> None:
    with attached() as program:
        for engine in ENGINES:
            made = run_job(job(engine, cache="cold"), ios=211, program=program)
            assert made.seen.slept[1:].sum() == made.report["voluntary_switches"]


@bpf
def test_sync_makes_a_call_per_io_and_the_others_less_in_batches() -> None:
    frame = io_engines.measure(queue_depth=32, seconds=0.05, slices=2)
    frame = frame[~frame["again"]]
    per_io = frame.set_index("engine")["calls_per_io"]
    assert per_io["sync"] == 1
    assert per_io["libaio"] < 1 and per_io["io_uring"] < 1
    seen_calls = frame["calls_per_io"] * frame["watched_ios"]
    assert seen_calls.tolist() == pytest.approx(seen_calls.round().tolist())
    assert (frame["calls"] / frame["ios"]).tolist() == pytest.approx(per_io.tolist(), rel=0.5)
    assert frame.set_index("engine")["queue_depth"].to_dict() == {"sync": 1, "libaio": 32, "io_uring": 32}


@bpf
def test_a_sweep_has_each_setting_once_and_sync_at_depth_1_only() -> None:
    frame = io_engines.measure(("sync", "libaio"), (4096, 65536), (1, 4), ("direct", "warm"), seconds=0.01, slices=2)
    assert len(frame) == 2 * 2 * 1 + 2 * 2 * 2 + 1
    assert frame["again"].tolist() == [False] * 12 + [True]
    assert (frame["bytes"] == frame["ios"] * frame["block_bytes"]).all()
    assert frame.loc[frame["engine"] == "sync", "queue_depth"].eq(1).all()
    assert (frame["p25_ns"] <= frame["p75_ns"]).all()
    assert frame["p99_ns"].isna().tolist() == (frame["ios"] < 1000).tolist()
    for name in ("ios_per_s", "p50_ns"):
        assert frame[name].between(frame[f"low_{name}"], frame[f"high_{name}"]).all()


@bpf
def test_littles_law_is_the_product_of_rate_and_latency() -> None:
    row = io_engines.measure("libaio", queue_depth=4, seconds=0.05, slices=2).iloc[0]
    assert row["in_flight"] == pytest.approx(row["ios"] / row["elapsed_s"] * row["mean_ns"] / 1e9)
    assert 0 < row["in_flight"] <= 4 * 1.01  # there cannot be more than the depth


@bpf
def test_a_cold_file_makes_io_submit_sleep_and_io_uring_only_wait_where_it_waits() -> None:
    frame = io_engines.calls(ios=211).set_index(["cache", "call"])
    for cache in ("direct", "cold"):
        assert frame["count"][cache, "io_submit"] == frame["count"][cache, "io_uring_enter (submit)"] == 211
        assert frame["slept"][cache, "io_uring_enter (submit)"] < 21
    assert frame["slept"]["direct", "io_submit"] < 21
    assert frame["slept"]["cold", "io_submit"] > 211 / 2  # nearly all; a block may come before it has gone to sleep
    assert frame["slept"]["cold", "io_getevents"] < 21  # all was done before it was called


@bpf
def test_bpftrace_sees_io_submit_sleep_too() -> None:
    script = """
        tracepoint:syscalls:sys_enter_io_submit /pid == PID/ { @inside[tid] = 1; @calls = count(); }
        tracepoint:syscalls:sys_exit_io_submit /@inside[tid]/ { delete(@inside[tid]); }
        tracepoint:sched:sched_switch /pid == PID && @inside[tid] && (args->prev_state & 0xff)/
            { @slept = count(); }"""
    work = Workload("io_engines", job("libaio", cache="cold").arguments(ios=211))
    with work as run, bpftrace(script.replace("PID", str(run.pid))) as witness:
        run.go()
        told = witness.end()
    counts = {name: int(count) for name, count in re.findall(r"@(\w+): (\d+)", told)}
    assert counts["calls"] == 211
    assert counts["slept"] > 211 / 2  # nearly all; but a block may come before a slow CPU has gone to sleep


@bpf
def test_a_tmpfs_sends_io_uring_to_its_workers_and_nobody_else() -> None:
    frame = io_engines.in_memory(ios=211, slices=2)
    frame = frame[~frame["again"]].set_index(["engine", "filesystem"])
    assert frame["punted"].drop(("io_uring", "tmpfs")).tolist() == [0, 0, 0]
    uring = frame.loc[("io_uring", "tmpfs")]
    assert (uring["punted"] > 0) == (uring["workers"] > 0)
    # "io_uring: rely solely on FMODE_NOWAIT" (6.5); what a later tmpfs than that of 6.18 does is not known
    assert uring["punted"] in ((0, 211) if since("6.19") else (211,) if since("6.5") else (0,))


def test_io_uring_forced_to_its_workers_has_them() -> None:
    made = run_job(job("io_uring"), "--force-async", ios=53)
    assert any(thread["name"].startswith("iou-wrk") for thread in made.report["kernel_threads"])


def test_lanes_overlap_for_all_but_sync() -> None:
    frame = io_engines.lanes(queue_depth=5, ios=53)
    overlap = io_engines.overlap(frame).set_index("engine")
    assert overlap["most_in_flight"].to_dict() == {"sync": 1, "libaio": 5, "io_uring": 5}
    assert overlap["ios"].tolist() == [53] * 3
    assert (frame["complete_ns"] - frame["submit_ns"] == frame["latency_ns"]).all()
    for _, lane in frame.groupby(["engine", "slot"]):  # no two I/Os share a lane at a time
        assert (lane["submit_ns"].iloc[1:].to_numpy() >= lane["complete_ns"].iloc[:-1].to_numpy()).all()


def test_a_run_in_which_the_disk_hiccups_is_not_the_one_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = iter([10, 9000, 11])

    def of(job: Job, ios: int, folder: Path, **_: Any) -> tuple[pd.DataFrame, list[str]]:
        return pd.DataFrame({"slot": [0], "submit_ns": [0], "complete_ns": [next(ends)]}), ["io_engines"]

    monkeypatch.setattr(timelines, "lanes_of", of)
    assert io_engines.lanes("sync", ios=1)["complete_ns"].tolist() == [11]


def test_overlap_counts_what_is_under_way_and_not_what_has_just_ended() -> None:
    rows = {"engine": "x", "submit_ns": [0, 10, 15], "complete_ns": [10, 20, 25], "latency_ns": [10, 10, 10]}
    (row,) = io_engines.overlap(schema.frame(rows)).to_dict("records")
    assert row["most_in_flight"] == 2
    assert row["in_flight"] == 30 / 25


@pytest.mark.parametrize("operation", ["read", "write"])
def test_every_engine_has_the_same_content(operation: str) -> None:
    frame = io_engines.content(operation=operation)
    assert len(frame) == 9
    assert frame["checksum"].nunique() == 1
    assert (frame["verified_ios"] == frame["ios"]).all()
    assert frame["bytes"].unique().tolist() == [job("sync").file_bytes]


@bpf
def test_an_engine_that_is_refused_is_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses(Workload):
        def __enter__(self) -> Workload:
            if "io_uring" in self.command:
                raise WorkloadUnable("io_uring is switched off here.", "sysctl -w kernel.io_uring_disabled=0")
            return super().__enter__()

    monkeypatch.setattr(runs, "Workload", Refuses)
    frame = io_engines.measure(queue_depth=2, seconds=0.01, slices=2)
    assert frame["engine"].tolist() == ["sync", "libaio", "sync"]
    assert "io_uring_disabled=0" in frame.attrs["warnings"][0]
    assert io_engines.lanes(ios=5)["engine"].unique().tolist() == ["sync", "libaio"]
    assert io_engines.calls(ios=5)["engine"].unique().tolist() == ["sync", "libaio"]
    assert len(io_engines.batches()) == 2  # by libaio instead
    with pytest.raises(WorkloadUnable, match="switched off"):
        io_engines.measure("io_uring", seconds=0.01)


def test_without_bpf_the_engines_are_measured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Missing("The kernel refused BPF.", "run as root")

    monkeypatch.setattr(watch, "Program", refuse)
    frame = io_engines.measure("sync", seconds=0.01, slices=2)
    assert frame["calls"].tolist() == frame["ios"].tolist()
    assert frame["calls_per_io"].isna().all()
    assert "No program watches" in frame.attrs["warnings"][0]
    with pytest.raises(Missing, match="refused BPF"):
        io_engines.calls(ios=5)


@pytest.mark.skipif(not Path("/dev/shm").is_mount(), reason="no tmpfs at /dev/shm")
def test_a_data_folder_in_memory_is_no_disk_to_compare_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "attached", lambda *_: pytest.fail("something was started"))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        monkeypatch.setenv("LABKIT_DATA", folder)
        with pytest.raises(Missing, match="in memory too, so there is no disk to compare with") as caught:
            io_engines.in_memory(ios=23)
    assert caught.value.fix == "set LABKIT_DATA to a folder on a disk"


def test_without_a_tmpfs_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(blocking, "MEMORY", tmp_path / "nowhere")
    with pytest.raises(Missing, match="is not a tmpfs"):
        io_engines.in_memory()


MACHINES = [
    ("io_uring_setup:error=ENOSYS", "io_uring", "direct", "no io_uring", "seccomp profile"),
    ("io_uring_setup:error=EPERM", "io_uring", "direct", "refused, by a seccomp filter", "seccomp=unconfined"),
    ("io_uring_setup:error=ENOMEM", "io_uring", "direct", "no locked memory", "ulimit -l"),
    ("io_setup:error=EAGAIN", "libaio", "direct", "libaio allows", "sysctl -w fs.aio-max-nr"),
    ("io_setup:error=ENOSYS", "libaio", "direct", "refuses libaio", "allow io_setup"),
    ("fcntl:error=EINVAL", "sync", "direct", "has no O_DIRECT", "--cache cold or warm"),
    ("pread64:error=EIO:when=20", "sync", "direct", "Input/output error", "dmesg"),
]


def acted(monkeypatch: pytest.MonkeyPatch, folder: Path, fault: str) -> None:
    """Let strace give the workload's system calls the answers of a bad machine."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: run `make setup`")
    script = folder / "io_engines"
    call = fault.partition(":")[0]
    script.write_text(
        f"#!/bin/sh\nexec strace -f -o /dev/null -e trace={call} -e inject={fault} '{build('io_engines')}' \"$@\"\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(runs, "build", lambda name: script)


@pytest.mark.parametrize(
    ("fault", "engine", "cache", "told", "fix"), MACHINES, ids=[f"{row[1]} {row[0]}" for row in MACHINES]
)
def test_what_the_machine_refuses_is_said_with_its_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str, engine: str, cache: str, told: str, fix: str
) -> None:
    acted(monkeypatch, tmp_path, fault)
    with pytest.raises(WorkloadError) as caught:
        io_engines.lanes(engine, queue_depth=4, ios=53, cache=cache)
    first, second, *_ = str(caught.value).splitlines()
    assert told in first
    assert second.startswith("Fix: ") and fix in f"{first} {second}"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
def test_a_sysctl_that_switches_io_uring_off_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Acted in a mount namespace: the machine's own switch is left alone."""
    switch = Path("/proc/sys/kernel/io_uring_disabled")
    if not switch.exists():
        pytest.skip("this kernel has no such switch")
    acted(monkeypatch, tmp_path, "io_uring_setup:error=EPERM")
    (tmp_path / "two").write_text("2\n")
    inner, outer = tmp_path / "io_engines", tmp_path / "outer"
    mount = f"mount --bind '{tmp_path / 'two'}' {switch}"
    outer.write_text(f'#!/bin/sh\nexec unshare -m sh -c "{mount} && exec \'{inner}\' \\"\\$@\\"" sh "$@"\n')
    outer.chmod(0o755)
    monkeypatch.setattr(runs, "build", lambda name: outer)
    with pytest.raises(WorkloadUnable) as caught:
        io_engines.lanes("io_uring", queue_depth=4, ios=53)
    assert "kernel.io_uring_disabled is 2" in str(caught.value)
    assert "sysctl -w kernel.io_uring_disabled=0" in str(caught.value)


@bpf
def test_what_one_engine_is_refused_the_others_are_measured_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    acted(monkeypatch, tmp_path, "io_uring_setup:error=EPERM")
    frame = io_engines.measure(queue_depth=2, seconds=0.01, slices=2)
    assert frame["engine"].tolist() == ["sync", "libaio", "sync"]
    assert sum("seccomp=unconfined" in warning for warning in frame.attrs["warnings"]) == 1


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A data folder of its own on a disk of 48 MiB whose sectors have 4 KiB."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(48 << 20)
    command = ["losetup", "--show", "--find", "--sector-size", "4096", str(image)]
    found = subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which("losetup") else None
    if found is None or found.returncode or not shutil.which("mkfs.ext4"):
        pytest.skip("no loop device, or no mkfs.ext4")
    device = found.stdout.strip()
    try:
        subprocess.run(["mkfs.ext4", "-q", device], check=True)
        subprocess.run(["mount", device, str(folder)], check=True)
        monkeypatch.setenv("LABKIT_DATA", str(folder))
        yield folder
        left = [path.name for path in folder.iterdir() if path.name.startswith("labkit-")]
        subprocess.run(["umount", str(folder)], check=True)
        assert left == []
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_size_that_the_disk_cannot_do_is_left_out_of_a_sweep(
    monkeypatch: pytest.MonkeyPatch, small_disk: Path
) -> None:
    frame = io_engines.measure("sync", block_bytes=[4096, 512], cache=["direct", "warm"], seconds=0.01, slices=2)
    settings = frame.loc[~frame["again"], ["cache", "block_bytes"]].to_numpy().tolist()
    assert settings == [["direct", 4096], ["warm", 4096], ["warm", 512]]
    (warning,) = (each for each in frame.attrs["warnings"] if "left out" in each)
    assert warning.startswith("512 B with O_DIRECT is left out.") and "multiple of 4096" in warning
    assert next(value for _, value in io_engines.panel().controls["block_bytes"].options) == 4096
    with monkeypatch.context() as patch:
        patch.setattr(rates, "run_job", lambda *_, **__: pytest.fail("a slice was run"))
        with pytest.raises(WorkloadError, match="--block-bytes 512 is not a multiple of 4096, the sector here"):
            io_engines.measure("sync", block_bytes=512, seconds=0.01)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_full_disk_is_said_before_anything_starts(small_disk: Path) -> None:
    free = shutil.disk_usage(small_disk).free
    subprocess.run(["fallocate", "-l", str(free - (8 << 20)), str(small_disk / "full")], check=True)
    with pytest.raises(LabkitError, match=r"no room for a file of .*iB: .*\nFix: free some space"):
        io_engines.measure("sync", seconds=0.01)
    with pytest.raises(WorkloadError, match=r"bytes are free in --folder .*\nFix: .*free some space"):
        io_engines.content("sync")


@bpf
def test_the_blocking_engine_is_libaio() -> None:
    frame = io_engines.who_blocks(ios=101)
    waits = set(frame.loc[frame["phase"] == "wait", "arm"])
    handing = frame[frame["arm"].isin(waits) & (frame["phase"] == "submit")].set_index("arm")["slept"]
    assert handing.idxmax() == truths.expected("07-q1")


def test_the_hidden_depth_is_the_most_under_way() -> None:
    frame = io_engines.deep()
    assert io_engines.overlap(frame)["most_in_flight"].tolist() == [truths.expected("07-q2")]
    assert not {"slot", "queue_depth"} & set(frame.columns) and "command" not in str(frame.attrs.get("command") or "")


@bpf
def test_a_batch_is_as_large_as_was_drawn() -> None:
    frame = io_engines.batches()
    handed = frame[frame["call"].isin(["io_submit", "io_uring_enter (submit)"])].iloc[0]
    assert handed["ios"] // handed["count"] == truths.expected("07-q3")


def test_the_law_gives_about_the_mean_latency() -> None:
    row = io_engines.law().iloc[0]
    truth = truths.expected("07-q4")
    assert isinstance(truth, float)
    assert truth <= 1e6 * row["queue_depth"] / row["ios_per_s"]  # never more in flight than the depth


@bpf
def test_stop_ends_each_measurement() -> None:
    def stop(share: float, note: str) -> None:
        if share > 0:
            raise Stopped

    for function in ("measure", "calls", "lanes", "content", "in_memory"):
        with pytest.raises(Stopped):
            getattr(io_engines, function)(progress=stop)


def test_slices_are_added_up() -> None:
    one, two = (run_job(job("libaio"), ios=ios) for ios in (23, 31))
    both = total([one, two])
    assert both.report["ios"] == both.latency.sum() == 54
    assert both.own_calls == one.own_calls + two.own_calls
    assert both.kernel is None


def loaded_here() -> int:
    """How many BPF programs of lesson 07 are attached to a tracepoint, by bpftool."""
    listed = json.loads(subprocess.run(["bpftool", "-j", "perf"], capture_output=True, text=True, check=True).stdout)
    return sum(each.get("pid") == os.getpid() for each in listed)


@bpf
@pytest.mark.skipif(not shutil.which("bpftool"), reason="bpftool is not installed: run `make setup`")
def test_nothing_is_attached_while_a_rate_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, seen = Workload.go, []

    def go(self: Workload, **how: Any) -> dict[str, Any]:
        seen.append(loaded_here())
        return plain(self, **how)

    monkeypatch.setattr(Workload, "go", go)
    frame = io_engines.measure("sync", seconds=0.01, slices=2)
    assert [count > 0 for count in seen] == [False] * 4 + [True] * rates.WATCHED_SLICES
    assert frame.attrs["watched_columns"] == ["calls_per_io", "sleeps_per_io"]
    seen.clear()
    frame = io_engines.watching_cost("sync", seconds=0.01, slices=2)
    assert sorted(count > 0 for count in seen) == sorted(frame["watched"]) == [False] * 4 + [True] * 2
    assert loaded_here() == 0


@bpf
def test_what_watching_costs_has_every_comparison_with_its_interval() -> None:
    frame = io_engines.watching_cost(seconds=0.01, slices=2)
    ratios = io_engines.watched_ratios(frame)
    assert len(frame) == 5 * 2
    assert ratios["comparison"].tolist() == [
        "sync: watched / unwatched",
        "io_uring: watched / unwatched",
        "sync: unwatched again / unwatched (A/A)",
        "io_uring / sync (unwatched)",
        "io_uring / sync (watched)",
    ]
    assert ratios["ratio"].between(ratios["low"], ratios["high"]).all()


def test_an_open_loop_serves_what_is_offered_until_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, run_job = [], open_loop.run_job
    monkeypatch.setattr(open_loop, "run_job", lambda *job, **how: runs.append(run_job(*job, **how)) or runs[-1])
    frame = io_engines.offered_load(share=(0.3, 1.5), seconds=0.3, slices=2)
    arrivals = [run.report["offered_ios"] for run in runs if run.report["rate"]]
    assert len(set(arrivals)) == 4  # no slice repeats the arrivals of another
    opened = frame[frame["loop"] == "open"]
    light, heavy = (opened[opened["share"].round(2) == share].iloc[0] for share in (0.3, 1.5))
    assert 0.8 < light["ios_per_s"] / light["offered_per_s"] < 1.2
    assert heavy["ios_per_s"] < heavy["offered_per_s"]
    assert opened["ratio"].between(opened["low"], opened["high"]).all()
    assert heavy["p50_ns"] > heavy["service_p99_ns"]  # what waits for its turn is in the one, and not in the other


def test_each_kind_of_durable_write_syncs_as_often_as_it_says() -> None:
    frame = io_engines.durable(sync_every=16, seconds=0.05, slices=2)
    kinds = frame[~frame["again"]].set_index("durable")
    assert kinds["fdatasyncs"]["none"] == kinds["fdatasyncs"]["dsync"] == 0
    assert kinds["fdatasyncs"]["end"] == 2  # one per slice
    assert abs(kinds["fdatasyncs"]["every"] - kinds["ios"]["every"] / 16) <= 2


def test_the_pool_makes_one_call_per_io() -> None:
    frame = io_engines.measure(["pool"], queue_depth=8, seconds=0.05, slices=2)
    assert (frame["calls"] == frame["ios"]).all()
    assert frame["calls_per_io"].iloc[0] == pytest.approx(1, abs=0.02)


@bpf
def test_each_working_set_is_as_large_as_asked() -> None:
    frame = io_engines.file_sizes("sync", (1 << 20, 8 << 20), slices=2)
    assert frame.loc[~frame["again"], "file_bytes"].tolist() == [1 << 20, 8 << 20]


@bpf
def test_mmap_makes_no_call_and_nowait_makes_two_for_a_cold_block() -> None:
    frame = io_engines.measure(["nowait", "mmap"], cache=["warm", "cold"], queue_depth=1, seconds=0.05, slices=2)
    per_io = frame[~frame["again"]].set_index(["engine", "cache"])["calls_per_io"]
    assert per_io["mmap", "warm"] == per_io["mmap", "cold"] == 0
    assert per_io["nowait", "warm"] == 1 and per_io["nowait", "cold"] > 1.5


def test_the_calls_of_the_c_file_are_those_of_the_table() -> None:
    text = (repo_folder() / "c" / "bpf" / "io_engines.c").read_text()
    listed = re.search(r"enum call \{(.*?)\}", text, re.DOTALL)
    assert listed is not None
    assert len(re.findall(r"^\s*[A-Z_0-9]+,", listed[1], re.MULTILINE)) == len(CALLS) + 1


@pytest.mark.parametrize(
    ("function", "arguments", "told"),
    [
        ("measure", {"engine": []}, r"engine=\[\]"),
        ("measure", {"engine": "io_urin"}, "did you mean 'io_uring'"),
        ("measure", {"engine": ["sync", 3]}, "engine=3"),
        ("measure", {"block_bytes": 0}, "block_bytes=0"),
        ("measure", {"block_bytes": -512}, "block_bytes=-512"),
        ("measure", {"block_bytes": 4097}, "block_bytes=4097 .*\n.*multiple of 512"),
        ("measure", {"block_bytes": [4096, 8 << 20]}, "512 to 4194304 bytes"),
        ("measure", {"queue_depth": 0}, "queue_depth=0"),
        ("measure", {"queue_depth": 1025}, "1 to 1024 I/Os"),
        ("measure", {"queue_depth": ()}, r"queue_depth=\(\)"),
        ("measure", {"queue_depth": 1024, "block_bytes": 4 << 20}, "1 GiB"),
        ("measure", {"cache": "hot"}, "cache='hot'"),
        ("measure", {"operation": "copy"}, "operation='copy'"),
        ("measure", {"order": "backwards"}, "order='backwards'"),
        ("measure", {"batch": 0}, "batch=0"),
        ("measure", {"batch": 33}, "batch=33 .*\n.*1 to 32"),
        ("measure", {"seconds": 0}, "seconds=0"),
        ("measure", {"seconds": "long"}, "seconds='long'"),
        ("measure", {"slices": 1}, "2 to 1000 slices"),
        ("calls", {"ios": 0}, "ios=0"),
        ("calls", {"engine": "aio"}, "engine='aio'"),
        ("calls", {"cache": []}, r"cache=\[\]"),
        ("calls", {"queue_depth": 2.5}, "queue_depth=2.5"),
        ("calls", {"block_bytes": True}, "block_bytes=True"),
        ("lanes", {"ios": 10_001}, "1 to 10000 I/Os"),
        ("lanes", {"engine": None}, "engine=None"),
        ("lanes", {"queue_depth": -1}, "queue_depth=-1"),
        ("lanes", {"block_bytes": 100}, "block_bytes=100"),
        ("lanes", {"cache": "icy"}, "cache='icy'"),
        ("content", {"engine": "x"}, "engine='x'"),
        ("content", {"operation": "erase"}, "operation='erase'"),
        ("in_memory", {"ios": 0}, "ios=0"),
    ],
)
def test_bad_arguments_are_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, function: str, arguments: dict[str, object], told: str
) -> None:
    monkeypatch.setattr(Workload, "__enter__", lambda self: pytest.fail("a program was started"))
    with pytest.raises(BadArgument, match=told):
        getattr(io_engines, function)(**arguments)
