# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: nothing that the timer or the program of the stages should have seen is missing without being counted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.lessons._io.job import Job
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


def test_a_request_is_known_by_device_and_sector(data_folder: Path) -> None:
    """Witness: the device that holds the data folder, by stat(2), and its disk by sysfs."""
    with stages_program(Job()) as program, RingReader(program, "events") as ring:
        with Workload("io_engines", Job().arguments(ios=23)) as run, program.watching(run.pid):
            run.go()
        ring.stop()
        events = ring.frame()
    places = {station: set(rows[["device", "where"]].itertuples(index=False, name=None))
              for station, rows in events.groupby("station")}  # fmt: skip
    assert places[QUEUED] == places[ISSUED] == places[COMPLETED]
    number = data_folder.stat().st_dev
    folder = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    disk = folder.parent if (folder / "partition").exists() else folder
    major, minor = (disk / "dev").read_text().split(":")
    assert {device for device, _ in places[QUEUED]} == {int(major) << 20 | int(minor)}
