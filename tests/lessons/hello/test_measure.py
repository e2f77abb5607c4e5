# SPDX-License-Identifier: Apache-2.0
"""Lesson 01: a prime number of runs is counted exactly, and nothing is before attach and after detach."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from witness import bpftrace

from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.errors import BadArgument, Busy, Stopped
from labkit.lessons import hello
from labkit.lessons.hello import events
from labkit.running import truths
from labkit.running.workload import Workload

pytestmark = pytest.mark.bpf


def test_twenty_three_runs_are_counted_as_twenty_three() -> None:
    frame = hello.measure(runs=23)
    assert len(frame) == 23 and set(frame["runs"]) == {23}
    assert frame.attrs["lost_events"] == 0


def test_nothing_is_counted_before_attach_or_after_detach() -> None:
    assert hello.phases(runs=23)["count"].tolist() == [0, 23, 0]


def test_the_pids_are_those_of_the_children() -> None:
    with Program("hello") as program:
        with RingReader(program, "events") as ring, Workload("hello", ["--runs", "23"]) as run:
            program.aim(pid=run.pid)
            program.attach()
            children = run.go()["child_pids"]
            program.detach()
    assert ring.records()["pid"].tolist() == children


def test_bpftrace_counts_the_same() -> None:
    script = "tracepoint:sched:sched_process_fork /pid == PID/ { @forks = count(); }"
    with Workload("hello", ["--runs", "23"]) as run, bpftrace(script.replace("PID", str(run.pid))) as witness:
        run.go()
        told = witness.end()
    assert re.search(r"@forks: 23\b", told), told
    assert len(hello.measure(runs=23)) == 23


def test_the_smallest_program_prints_one_line_per_run() -> None:
    lines = hello.say_hello(runs=3)
    assert len(lines) == 3
    assert all("Hello, eBPF!" in line for line in lines)


def test_a_second_reader_of_trace_pipe_is_told_so() -> None:
    taken = os.open(events.TRACE_PIPE, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(Busy, match="trace_pipe"):
            hello.say_hello(runs=1)
    finally:
        os.close(taken)


def test_the_kernel_ran_the_program_for_each_run_of_the_workload() -> None:
    # and for each program that another process started meanwhile: the tracepoint sees the whole machine
    assert hello.life(runs=23).run_count >= 23


def test_the_life_of_a_program_is_real() -> None:
    life = hello.life(runs=1)
    assert any("bpf_trace_printk" in line for line in life.verifier_log)
    assert "labkit_target" in life.maps
    # a call in the C is a call in the bytecode, and at least an instruction of this CPU for each of the program's own
    assert any("call" in line for line in life.bytecode)
    if life.machine_code:
        assert len(life.machine_code) >= len(life.bytecode) / 2


def test_trace_pipe_works_after_a_kernel_fault_has_switched_it_off() -> None:
    switch = events.TRACE_PIPE.with_name("tracing_on")
    before = switch.read_text()
    switch.write_text("0")
    try:
        assert len(hello.say_hello(runs=2)) == 2
        assert switch.read_text().strip() == "0"
    finally:
        switch.write_text(before)


def test_the_suspect_is_the_process_that_opened_the_secret() -> None:
    frame = hello.find_suspect(processes=4)
    opened = frame[frame["path"] == "secret.txt"]
    assert frame["pid"].nunique() == 4
    assert opened["pid"].unique().tolist() == [truths.expected("01-q2")]
    assert len(opened) == truths.expected("01-q3")


def test_the_suspect_is_found_in_a_folder_with_a_long_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / ("n" * 250)))
    assert "secret.txt" in hello.find_suspect(processes=2)["path"].unique()


def test_the_mystery_is_answered_by_counting() -> None:
    assert len(hello.mystery()) == truths.expected("01-q1")


def test_stop_ends_a_measurement() -> None:
    def stop(share: float, note: str) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        hello.measure(runs=100, interval_us=100_000, progress=stop)


@pytest.mark.parametrize(
    ("function", "arguments", "told"),
    [
        ("measure", {"runs": 0}, "runs=0"),
        ("measure", {"runs": -3}, "runs=-3"),
        ("measure", {"runs": 2.5}, "runs=2.5"),
        ("measure", {"runs": "23"}, "runs='23'"),
        ("measure", {"runs": True}, "runs=True"),
        ("measure", {"runs": 10**9}, "1 to 10000 runs"),
        ("measure", {"interval_us": -1}, "interval_us=-1"),
        ("phases", {"runs": 0}, "runs=0"),
        ("say_hello", {"runs": 0}, "runs=0"),
        ("say_hello", {"runs": 101}, "1 to 100 runs"),
        ("life", {"runs": None}, "runs=None"),
        ("find_suspect", {"processes": 1}, "processes=1"),
        ("find_suspect", {"processes": 21}, "2 to 20"),
    ],
)
def test_bad_arguments_are_named(function: str, arguments: dict[str, object], told: str) -> None:
    with pytest.raises(BadArgument, match=told):
        getattr(hello, function)(**arguments)
