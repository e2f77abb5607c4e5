# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: nothing that the timer or the program of the stages should have seen is missing without being counted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.lessons import syscall_latency
from labkit.lessons._io.job import Job
from labkit.lessons.syscall_latency import io_stages
from labkit.lessons.syscall_latency.io_stages import COMPLETED, ISSUED, QUEUED, stages_program
from labkit.lessons.syscall_latency.timer import flags
from labkit.running.workload import Workload

pytestmark = pytest.mark.bpf

READER = """
import os, sys, threading
threads, at_once = int(sys.argv[1]), int(sys.argv[2])
file = os.open("/etc/passwd", os.O_RDONLY)
ended = threading.Event()
def read():
    os.pread(file, 1, 0)
    if at_once > 1:
        ended.wait()
print("ready", flush=True)
sys.stdin.readline()
for first in range(0, threads, at_once):
    group = [threading.Thread(target=read) for _ in range(at_once)]
    for each in group: each.start()
    if at_once == 1: group[0].join()
ended.set()
"""


MAP_USER = """
import ctypes, os, sys
os.sched_setaffinity(0, [int(sys.argv[1])])
from labkit.bpf.program import Program
with Program("syscall_latency", flags={"ENTER": "sys_enter_pread64", "EXIT": "sys_exit_pread64"}) as program:
    table = program.table("started")
    print("ready", flush=True)
    while True:
        table.clear()
        for thread in range(1000):
            table[ctypes.c_uint32(thread)] = table.Leaf()
"""


@contextmanager
def reader(threads: int, at_once: int = 1) -> Iterator[subprocess.Popen[str]]:
    """A process whose threads make one pread each: one thread after the other, or all alive together."""
    line = [sys.executable, "-c", READER, str(threads), str(at_once)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stdout.readline() == "ready\n"
        yield run


@pytest.mark.parametrize("raw", [False, True])
def test_threads_that_come_and_go_are_all_timed(raw: bool) -> None:
    """3000 of them, three times as many as the timer's map has entries."""
    with Program("syscall_latency", flags=flags(Job(), raw=raw)) as timer:
        with reader(3000) as run, timer.watching(run.pid):
            run.communicate("go\n", timeout=120)
        assert timer_count(timer) == (3000, 0)
        assert timer.hash("started") == {}


def test_what_a_full_map_refuses_is_counted() -> None:
    """1300 threads that live at the same time: more than the map has entries."""
    with Program("syscall_latency", flags=flags(Job())) as timer:
        with reader(1300, 1300) as run, timer.watching(run.pid):
            run.communicate("go\n", timeout=120)
        counted, lost = timer_count(timer)
    assert counted + lost == 1300 and lost >= 1300 - 1024 - 1


def timer_count(timer: Program) -> tuple[int, int]:
    return int(timer.histogram("latency").sum()), timer.lost_events


@pytest.mark.parametrize("describes_itself", [True, False])
def test_a_request_is_known_by_device_and_sector(
    describes_itself: bool, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without the kernel's BTF. Witness: the device that holds the data folder, by stat(2) and sysfs."""
    if not describes_itself:
        monkeypatch.setattr(io_stages, "kernel_btf", lambda: None)
    with stages_program(Job()) as program, RingReader(program, "events") as ring:
        with Workload("io_engines", Job().arguments(ios=23)) as run, program.watching(run.pid):
            run.go()
        ring.stop()
        events = ring.frame()
    places = {
        station: set(rows[["device", "where"]].itertuples(index=False, name=None))
        for station, rows in events.groupby("station")
    }
    if describes_itself:
        assert places[QUEUED] == places[ISSUED] == places[COMPLETED]
    else:  # an ordinary tracepoint may be passed over
        assert places[QUEUED] >= places[ISSUED] | places[COMPLETED] and places[ISSUED] & places[COMPLETED]
    number = data_folder.stat().st_dev
    folder = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    disk = folder.parent if (folder / "partition").exists() else folder
    major, minor = (disk / "dev").read_text().split(":")
    assert {device for device, _ in places[QUEUED]} == {int(major) << 20 | int(minor)}


def test_no_request_is_passed_over_while_others_use_maps() -> None:
    """While a CPU works on a map for bpf(2), it passes over the programs of ordinary tracepoints, in interrupts too."""
    with busy_with_a_map():
        seen = [len(syscall_latency.stages(4096, ios=499)) for _ in range(3)]
    assert max(seen) == 499  # by ordinary tracepoints 470


@contextmanager
def busy_with_a_map() -> Iterator[None]:
    """Keep each CPU at work on a map, which lets the interrupts of the disk hit that work."""
    line = [sys.executable, "-c", MAP_USER]
    with ExitStack() as stack:
        for cpu in os.sched_getaffinity(0):
            run = stack.enter_context(subprocess.Popen([*line, str(cpu)], stdout=subprocess.PIPE, text=True))
            stack.callback(run.kill)
            assert run.stdout is not None and run.stdout.readline() == "ready\n"
        yield
