# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: who does what of io_uring's work, by eBPF, and what comes back.

Witnesses: the program's own counts, zlib, strace.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zlib
from errno import EINVAL, ENOMEM, ENOSYS, EPERM
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from running_kernel import since

from labkit import schema
from labkit.bpf.program import TRACING
from labkit.errors import BadArgument, Missing, Stopped, WorkloadUnable
from labkit.lessons import uring
from labkit.lessons._io import watch
from labkit.lessons._io.job import Job
from labkit.lessons.uring import arms, punting, runs
from labkit.lessons.uring.rings import HEADS_AND_TAILS
from labkit.lessons.uring.runs import ENTERS, EVENTS, PROGRAM, SQPOLL, WORKER, UringRun, attached, events_of, run
from labkit.machine.folders import repo_folder
from labkit.running import truths, workload
from labkit.running.workload import Workload
from labkit.stats import trial

bpf = pytest.mark.bpf
pytestmark = pytest.mark.programs_kept


def run_job(*more: str, ios: int = 211, depth: int = 8, cache: str = "warm") -> UringRun:
    job = Job("io_uring", cache=cache, queue_depth=depth, batch=depth, wait_for=depth)
    with attached() as program:
        return run("io_engines", [*job.arguments(ios=ios), *more], program=program)


# ---- the two rings ----


@bpf
@pytest.mark.parametrize("file_bytes", [0, 1, 4095, 4096, 4097, 100_003])
def test_both_readers_bring_the_exact_bytes_by_the_calls_they_say(file_bytes: int) -> None:
    frame = uring.readers(file_bytes)
    assert frame["interface"].tolist() == ["raw", "liburing"]
    assert frame["bytes"].tolist() == [file_bytes] * 2
    assert frame["crc32"].tolist() == frame["file_crc32"].tolist()
    assert frame["crc32"].nunique() == 1
    assert (frame["submits"] + frame["waits"]).tolist() == frame["calls"].tolist()
    assert frame["sqes"].tolist() == frame["ios"].tolist() == [-(-file_bytes // 4096)] * 2


@bpf
def test_the_library_makes_the_calls_that_the_hand_made_rings_make() -> None:
    frame = uring.readers(100_003)
    if frame["waits"].any():
        pytest.skip("this file system does not read from the page cache at once, so what is waited for is chance")
    assert frame["calls"].nunique() == 1


@bpf
def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / ("long-" * 40) / "own"
    path.parent.mkdir()
    path.write_bytes(b"io_uring" * 1000)
    frame = uring.readers(path=path)
    assert frame["crc32"].tolist() == [f"{zlib.crc32(path.read_bytes()):08x}"] * 2


@pytest.mark.parametrize("cache", ["direct", "cold", "warm"])
@pytest.mark.parametrize("sqpoll", [False, True])
def test_heads_follow_tails_and_all_meet_at_the_end(cache: str, sqpoll: bool) -> None:
    frame = uring.steps(11, 4, cache, sqpoll=sqpoll)
    for name in HEADS_AND_TAILS:
        assert frame[name].is_monotonic_increasing
    assert (frame["sq_head"] <= frame["sq_tail"]).all() and (frame["cq_head"] <= frame["cq_tail"]).all()
    assert (frame["sq_tail"] - frame["cq_head"] <= 4).all()
    assert frame.iloc[-1][list(HEADS_AND_TAILS)].tolist() == [11] * 4
    assert (frame["action"] == "fill").sum() == (frame["action"] == "seen").sum() == 11
    assert (set(frame["sq_entries"]), set(frame["cq_entries"])) == ({4}, {8})


def test_direct_reads_are_in_flight_after_the_call_that_submitted_them() -> None:
    frame = uring.steps()
    submitted = frame[frame["action"] == "submit"]
    assert (submitted["sq_head"] - submitted["cq_tail"]).max() >= 2


# ---- batches, and who submits ----


@bpf
def test_one_call_carries_a_whole_batch() -> None:
    frame = uring.measure([1, 4, 16], seconds=0.02, slices=3)
    assert frame["arm"].value_counts().to_dict() == dict.fromkeys(
        ["program with batch 1", "program with batch 4", "program with batch 16", "program with batch 1 (again)"], 3
    )
    assert (frame["waits"] + frame["wakes"]).tolist() == [0] * len(frame)
    for row in frame.to_dict("records"):
        assert row["submits"] == -(-row["watched_ios"] // row["batch"])  # as the kernel saw it, in the watched run
        assert row["calls"] == -(-row["ios"] // row["batch"])  # as the program counted, in each slice
    assert frame.attrs["lost_events"] == 0


def test_a_summary_has_medians_and_a_ratio_to_the_first_arm() -> None:
    rows = [
        {
            "arm": arm,
            "slice": number,
            "ios": 10,
            "calls": 5,
            "watched_ios": 3,
            "calls_per_io": 0.5,
            "p50_ns": 1.0,
            "ios_per_s": 1.0,
            "program_cpu_ns_per_io": cost,
            "kernel_cpu_ns_per_io": 0.0,
            "cpu_ns_per_io": cost * wobble,
        }
        for arm, cost in (("z", 100.0), ("a", 50.0), ("z (again)", 100.0))
        for number, wobble in enumerate((1.0, 1.1, 1.2))
    ]
    table = uring.summary(schema.frame(rows, warnings=["before"]))
    assert table["arm"].tolist() == ["z", "a", "z (again)"]
    assert table["cpu_ns_per_io"].tolist() == pytest.approx([110.0, 55.0, 110.0])
    assert table["ratio"].tolist() == pytest.approx([1.0, 0.5, 1.0])
    assert (table["ios"].tolist(), table["watched_ios"].tolist()) == ([30] * 3, [3] * 3)
    assert table.attrs["warnings"] == ["before", trial.TOO_FEW]


def test_what_a_witness_does_not_confirm_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arms, "doubts", lambda job, told: [f"batch {job.batch}: {told['ios'] > 0}"])
    frame = uring.measure([1, 8], seconds=0.02, slices=2)
    assert {"batch 1: True", "batch 8: True"} <= set(frame.attrs["warnings"])


@bpf
def test_strace_counts_the_same_calls() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: run `make setup`")
    arguments = Job("io_uring", cache="warm", queue_depth=8, batch=8, wait_for=8).arguments(ios=101)
    with attached() as program, Workload("io_engines", arguments) as process:
        program.clear("seen")
        program.aim(pid=process.pid)
        witness = subprocess.Popen(
            ["strace", "-c", "-f", "-e", "trace=io_uring_enter", "-p", str(process.pid)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert witness.stderr is not None and " attached" in witness.stderr.readline()
        told = process.go()
        table = witness.communicate(timeout=30)[1]
        seen = events_of(program)
    (row,) = (line.split() for line in table.splitlines() if line.endswith(" io_uring_enter"))
    assert int(row[3]) == told["calls"]["io_uring_enter"] == seen.count(*ENTERS)


@bpf
def test_under_sqpoll_the_program_submits_nothing_and_iou_sqp_does() -> None:
    frame = uring.summary(uring.sqpoll(seconds=0.05, slices=2))
    program, *others, again = frame.to_dict("records")
    assert again["arm"] == "the program (again)" and again["by_program"] == again["watched_ios"]
    assert program["by_program"] == program["watched_ios"] and program["by_sqpoll"] == 0
    assert program["submits"] > 0 and program["kernel_cpu_ns_per_io"] == 0
    assert len(others) == (3 if len(os.sched_getaffinity(0)) > 1 else 1)
    for row in others:
        assert row["submits"] == row["by_program"] == 0
        assert row["by_sqpoll"] == row["watched_ios"]
        assert row["kernel_cpu_ns_per_io"] > 0
        if row["arm"].endswith("looks"):
            assert row["waits"] == 0 and row["wakes"] <= 2  # nothing but wake-ups, if it fell asleep before the start


@bpf
def test_costs_come_from_slices_in_which_nothing_is_attached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Witness: the descriptors of this process say whether a tracepoint is in use when a run starts."""
    attached: list[bool] = []
    start = Workload.start

    def look(self: Workload) -> None:
        links = [
            os.readlink(link.path)
            for link in os.scandir("/proc/self/fd")
            if link.is_symlink() and os.path.lexists(link.path)
        ]
        attached.append("anon_inode:[perf_event]" in links)
        start(self)

    monkeypatch.setattr(Workload, "start", look)
    frame = uring.measure([1, 8], seconds=0.02, slices=3)
    assert (
        attached == [True] * 2 + [False] * (2 + 1) * 3
    )  # each setting is watched once; the first one runs twice after it
    table = uring.summary(frame)
    assert table["slices"].tolist() == [3, 3, 3]
    assert table["ratio"][0] == 1 and (table["low"] <= table["ratio"]).all() and (table["ratio"] <= table["high"]).all()
    assert (frame["cpu_ns_per_io"] > 0).all()


@bpf
def test_the_submitting_thread_is_the_kernels() -> None:
    seen = run_job("--sqpoll").seen
    assert seen.threads(SQPOLL) == 1
    assert seen.count("sqe consumed", thread=SQPOLL) == 211
    assert seen.count("submits", "waits", "wakes", thread=SQPOLL) == 0  # it is in the kernel and calls nothing
    assert seen.count("submits", "sqe consumed", thread=PROGRAM) == 0


@bpf
def test_with_one_cpu_what_needs_two_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    frame = uring.sqpoll(seconds=0.02, slices=2)
    assert frame["arm"].drop_duplicates().tolist() == [
        "the program",
        "iou-sqp on the program's CPU",
        "the program (again)",
    ]
    assert "one CPU" in frame.attrs["warnings"][0]


# ---- registered buffers and files, workers ----


def test_registered_arms_are_interleaved_with_an_a_a_arm() -> None:
    frame = uring.registered([512, 65536], slices=2, seed=1)
    assert set(frame["arm"]) == {*uring.REGISTERED, "nothing (again)"}
    assert len(frame) == 2 * 2 * 5
    table = uring.savings(frame)
    assert len(table) == 2 * 4
    assert table.attrs["warnings"].count(trial.TOO_FEW) == 1  # and not once a block size
    assert (table["low"] <= table["high"]).all()
    again = table[table["arm"] == "nothing (again)"]
    assert sorted(again["block_bytes"]) == [512, 65536]


def test_savings_are_medians_and_ratios() -> None:
    arms = {"nothing": 100.0, "buffers": 80.0, "nothing (again)": 100.0}
    rows = [
        {"block_bytes": 512, "arm": arm, "slice": number, "cpu_ns_per_io": value}
        for arm, value in arms.items()
        for number in range(3)
    ]
    table = uring.savings(schema.frame(rows)).set_index("arm")
    assert table["saved_ns"].to_dict() == {"buffers": 20.0, "nothing (again)": 0.0}
    assert table["ratio"]["buffers"] == pytest.approx(0.8)


@bpf
def test_workers_are_seen_where_they_are_asked_for_and_not_where_the_page_is_there() -> None:
    frame = uring.workers(211).set_index("arm")
    cached, forced = frame.loc["page cache"], frame.loc["page cache with workers asked for"]
    assert forced["punted"] == forced["ios"] == 211
    assert forced["workers"] >= 1 and forced["worker_runs"] >= 1
    if cached["filesystem"] in ("ext4", "xfs", "btrfs"):  # they can promise not to block
        assert cached["punted"] == cached["workers"] == 0
    for arm, row in frame.iterrows():
        assert row["submits"] + row["waits"] == row["calls"], arm
    if "tmpfs" in frame.index:
        tmpfs = frame.loc["tmpfs"]
        # "io_uring: rely solely on FMODE_NOWAIT" (6.5); what a later tmpfs than that of 6.18 does is not known
        assert tmpfs["punted"] in ((0, 211) if since("6.19") else (211,) if since("6.5") else (0,))
        assert (tmpfs["punted"] > 0) == (tmpfs["workers"] > 0)


@bpf
def test_workers_are_threads_of_that_name_in_proc_too() -> None:
    watched = run_job("--force-async", ios=53)
    assert any(thread["name"].startswith("iou-wrk") for thread in watched.report["kernel_threads"])
    assert watched.seen.threads(WORKER) >= 1


@bpf
def test_without_a_tmpfs_it_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(punting, "MEMORY", tmp_path / "nowhere")
    frame = uring.workers(23)
    assert "tmpfs" not in frame["arm"].tolist()
    assert "is not a tmpfs" in frame.attrs["warnings"][0]


# ---- the tour ----


@bpf
def test_the_tour_takes_one_call_per_batch_and_the_kernel_counts_what_the_program_does() -> None:
    frame = uring.tour(160, 16).set_index(["stop", "interface"])
    assert frame["seen_calls"].tolist() == frame["calls"].tolist()
    assert frame["seen_calls"].to_dict() == {
        ("nops", "io_uring"): 10,
        ("files", "plain"): 3 * 160,
        ("files", "io_uring"): 10,
        ("files with stat", "plain"): 4 * 160,
        ("files with stat", "io_uring"): 10,
        ("echo", "plain"): 4 * 160,
        ("echo", "io_uring"): 10,
    }
    assert frame["sqes"].tolist() == [160, 0, 480, 0, 640, 0, 640]


@bpf
def test_many_files_take_a_small_part_of_the_calls(data_folder: Path) -> None:
    before = sorted(data_folder.iterdir())
    frame = uring.files(101, slices=2)
    calls = frame.set_index("arm")["calls_per_file"].groupby("arm").first().to_dict()
    assert calls == {"plain": 3.0, "plain (again)": 3.0, "io_uring": pytest.approx(4 / 101)}
    assert set(frame["arm"]) == {"plain", "io_uring", "plain (again)"}
    assert trial.ratios(frame)["arm"].tolist() == ["io_uring", "plain (again)"]
    assert sorted(data_folder.iterdir()) == before


def test_clocks_ring_in_the_order_of_time() -> None:
    frame = uring.clocks(3, 1000)
    assert frame["asked_ns"].tolist() == [1_000_000, 2_000_000, 3_000_000, 1_000_000]
    rung = frame[frame["operation"] == "timeout"]
    assert (rung["took_ns"] >= rung["asked_ns"]).all()
    assert frame["result"].iloc[-1] == "Operation canceled"


# ---- exercises ----


def test_the_unseen_results_are_between_head_and_tail() -> None:
    row = uring.heads_and_tails().iloc[0]
    assert row["cq_tail"] - row["cq_head"] == truths.expected("08-q1")


@bpf
def test_who_polls_submits_nothing_itself() -> None:
    frame = uring.who_polls(320)
    assert frame.loc[frame["by_program"] == 0, "arm"].tolist() == [truths.expected("08-q2")]


@bpf
def test_a_chain_of_three_requests_is_a_file() -> None:
    frame = uring.chains()
    assert frame.loc[frame["event"] == "sqe consumed", "count"].sum() // 3 == truths.expected("08-q3")


@bpf
def test_who_was_given_to_a_worker_is_counted() -> None:
    frame = uring.desk().set_index("event")["count"]
    assert frame["handed to a worker"] == truths.expected("08-q4")
    assert frame["sqe consumed"] > frame["handed to a worker"]


# ---- bad machines ----

FILTER = """#!{python}
import ctypes, os, sys
library = ctypes.CDLL("libseccomp.so.2")
library.seccomp_init.restype = ctypes.c_void_p
rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(0x7FFF0000)))  # SCMP_ACT_ALLOW
call = library.seccomp_syscall_resolve_name(b"io_uring_setup")
assert library.seccomp_rule_add(rules, ctypes.c_uint32(0x00050000 | {error}), call, 0) == 0  # SCMP_ACT_ERRNO
assert library.seccomp_load(rules) == 0
os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Let every workload be started under a seccomp filter that answers io_uring_setup with an error."""
    build = workload.build

    def refuse(error: int) -> None:
        def under(name: str) -> Path:
            made = tmp_path / name
            made.write_text(FILTER.format(python=sys.executable, error=error, program=str(build(name))))
            made.chmod(0o755)
            return made

        monkeypatch.setattr(workload, "build", under)

    return refuse


@bpf
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (EPERM, r"(?s)refused, by a seccomp filter.*seccomp=unconfined|switched off here"),
        (ENOSYS, "no io_uring .*seccomp"),
        (EINVAL, "too old for what was asked"),
        (ENOMEM, "ulimit -l"),
    ],
)
def test_where_io_uring_is_refused_every_experiment_says_why(refuse: Any, error: int, told: str) -> None:
    refuse(error)
    for name in ("readers", "steps", "measure", "sqpoll", "registered", "workers", "tour", "files", "clocks"):
        with pytest.raises(WorkloadUnable, match=told) as caught:
            getattr(uring, name)()
        assert len(str(caught.value).splitlines()[0]) > 0
        assert str(caught.value).splitlines()[1].startswith("Fix: ")


def test_too_old_for_sqpoll_names_the_option(refuse: Any) -> None:
    refuse(EINVAL)
    with pytest.raises(WorkloadUnable, match="--sqpoll"):
        uring.measure(4, submitter="iou-sqp", seconds=0.02)


def test_switched_off_by_sysctl_is_told_with_the_command(refuse: Any, monkeypatch: Any, tmp_path: Path) -> None:
    """A file mounted over the sysctl, in a mount namespace of the program's own: nobody else is refused."""
    if not Path("/proc/sys/kernel/io_uring_disabled").exists() or os.geteuid() != 0:
        pytest.skip("this kernel has no sysctl kernel.io_uring_disabled, or this is not root")
    refuse(EPERM)
    filtered = workload.build
    off = tmp_path / "off"
    off.write_text("2\n")

    def under(name: str) -> Path:
        made = tmp_path / f"{name}-off"
        mount = """mount --bind "$0" /proc/sys/kernel/io_uring_disabled && exec "$@\""""
        made.write_text(f"#!/bin/sh\nexec unshare -m sh -c '{mount}' '{off}' '{filtered(name)}' \"$@\"\n")
        made.chmod(0o755)
        return made

    monkeypatch.setattr(workload, "build", under)
    with pytest.raises(WorkloadUnable, match=r"sysctl -w kernel\.io_uring_disabled=0"):
        uring.steps()


def test_without_bpf_batches_are_measured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Missing("The kernel refused BPF.", "run as root")

    monkeypatch.setattr(watch, "Program", refuse)
    frame = uring.measure(8, seconds=0.02)
    assert pd.isna(frame["calls_per_io"][0]) and frame["calls"][0] > 0
    assert "No program watches" in frame.attrs["warnings"][0]
    for name in ("readers", "sqpoll", "workers", "tour", "files"):
        with pytest.raises(Missing, match="refused BPF"):
            getattr(uring, name)()


@pytest.mark.parametrize(
    ("events", "flags"),
    [(("io_uring/io_uring_submit_req",), {}), (("io_uring/io_uring_submit_sqe",), {"OLD_NAME": 1})],
)
def test_the_tracepoint_is_taken_by_the_name_that_the_kernel_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, events: tuple[str, ...], flags: dict[str, int]
) -> None:
    for event in events:
        (tmp_path / "events" / event).mkdir(parents=True)
    monkeypatch.setattr(runs, "TRACING", tmp_path)
    assert runs.flags() == flags


def test_a_kernel_without_io_uring_is_told_apart_from_one_without_tracefs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runs, "TRACING", tmp_path)
    with pytest.raises(Missing, match="tracefs is not mounted"):
        runs.flags()
    (tmp_path / "events").mkdir()
    with pytest.raises(Missing, match=r"(?s)no io_uring to watch.*CONFIG_IO_URING"):
        runs.flags()


@bpf
def test_this_kernel_has_one_of_the_two_names() -> None:
    flags = runs.flags()
    assert (TRACING / "events/io_uring/io_uring_submit_sqe").is_dir() == bool(flags)


def test_the_events_of_the_c_file_are_those_of_the_table() -> None:
    text = (repo_folder() / "c" / "bpf" / "uring.c").read_text()
    listed = re.search(r"enum event \{(.*?)\}", text, re.DOTALL)
    assert listed is not None
    names = re.sub(r"/\*.*?\*/", "", listed[1])
    assert len(re.findall(r"[A-Z_]+(?=,)", names)) == len(EVENTS)


def test_stop_ends_each_measurement(data_folder: Path) -> None:
    before = sorted(data_folder.iterdir())

    def stop(share: float, note: str) -> None:
        raise Stopped

    for name in ("readers", "steps", "measure", "sqpoll", "registered", "workers", "tour", "files", "clocks"):
        with pytest.raises((Stopped, Missing)):
            getattr(uring, name)(progress=stop)
    assert sorted(data_folder.iterdir()) == before


@pytest.mark.parametrize(
    ("function", "arguments", "told"),
    [
        ("readers", {"file_bytes": -1}, "file_bytes=-1"),
        ("readers", {"file_bytes": 2 << 30}, "0 to 1073741824 bytes"),
        ("readers", {"block_bytes": 0}, "block_bytes=0"),
        ("readers", {"queue_depth": 1025}, "1 to 1024 reads"),
        ("readers", {"path": "/nonesuch"}, "path='/nonesuch'"),
        ("steps", {"blocks": 0}, "blocks=0"),
        ("steps", {"queue_depth": 65}, "1 to 64 reads"),
        ("steps", {"cache": "hot"}, "cache='hot'"),
        ("steps", {"sqpoll": "yes"}, "sqpoll='yes'"),
        ("measure", {"batch": 0}, "batch=0"),
        ("measure", {"batch": []}, r"batch=\[\]"),
        ("measure", {"batch": [1, 2048]}, "1 to 1024 I/Os"),
        ("measure", {"batch": 1.5}, "batch=1.5"),
        ("measure", {"batch": 1024, "block_bytes": 4 << 20}, "1 GiB"),
        ("measure", {"block_bytes": 100}, "block_bytes=100"),
        ("measure", {"block_bytes": 4097, "cache": "direct"}, "multiple of 512"),
        ("measure", {"submitter": "iou-sqpp"}, "did you mean 'iou-sqp'"),
        ("measure", {"register": "everything"}, "register='everything'"),
        ("measure", {"cache": "hot"}, "cache='hot'"),
        ("measure", {"seconds": 0}, "seconds=0"),
        ("sqpoll", {"batch": -1}, "batch=-1"),
        ("sqpoll", {"cache": None}, "cache=None"),
        ("sqpoll", {"seconds": 61}, "0.01 to 60 seconds"),
        ("sqpoll", {"slices": 1}, "slices=1"),
        ("measure", {"slices": 0}, "slices=0"),
        ("registered", {"block_bytes": ()}, r"block_bytes=\(\)"),
        ("registered", {"slices": 1}, "2 to 1000 slices"),
        ("registered", {"cache": "icy"}, "cache='icy'"),
        ("workers", {"ios": 0}, "ios=0"),
        ("tour", {"ios": 10_001}, "1 to 10000 operations"),
        ("tour", {"batch": 257}, "1 to 256 operations"),
        ("files", {"files": 0}, "files=0"),
        ("files", {"batch": 0}, "batch=0"),
        ("files", {"cache": "direct"}, "cache='direct'"),
        ("files", {"slices": True}, "slices=True"),
        ("clocks", {"count": 257}, "1 to 256 timeouts"),
        ("clocks", {"step_us": 0}, "step_us=0"),
    ],
)
def test_bad_arguments_are_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, function: str, arguments: dict[str, object], told: str
) -> None:
    monkeypatch.setattr(Workload, "__enter__", lambda self: pytest.fail("a program was started"))
    monkeypatch.setattr(watch, "Program", lambda *_, **__: pytest.fail("BPF was loaded"))
    with pytest.raises(BadArgument, match=told):
        getattr(uring, function)(**arguments)
