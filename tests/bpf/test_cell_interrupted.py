# SPDX-License-Identifier: Apache-2.0
"""An interrupt, or a kill, of a cell with buffers leaves nothing attached, no thread, and a right next count."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from running.interrupting import interrupted_at, lines_run

from labkit.bpf import cell, collect, program
from labkit.bpf.cell import Cell
from labkit.running import owner
from labkit.running.workload import Workload

pytestmark = pytest.mark.bpf
TEXT = """#include "labkit.h"
struct event { u64 one; };
BPF_RINGBUF_OUTPUT(ring, 8);
BPF_PERF_OUTPUT(perf);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	struct event event = {1};

	if (!labkit_is_target())
		return 0;
	ring.ringbuf_output(&event, sizeof(event), 0);
	perf.perf_submit(args, &event, sizeof(event));
	return 0;
}
"""
TAKES_AND_GIVES = ("__enter__", "__exit__", "_take", "_give_back", "_open", "_open_cpu", "_close", "close", "detach")
MODULES = (cell, collect, program, owner)
WAIT_S = 20.0


def attached(pid: int) -> list[str]:
    """Return what a process has attached, as bpftool sees it."""
    listed = subprocess.run(["bpftool", "perf", "list"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.startswith(f"pid {pid} ")]


@pytest.mark.anywhere  # an emulated 5.10 hung in it, twice, where the kernel had just changed its own code
def test_an_interrupt_at_any_line_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "learner.c"
    path.write_text(TEXT)

    def use() -> tuple[int, int]:
        with Cell(path) as made:
            with Workload("maps", ["--work", "count", "--calls", "23"]) as run, made.watching(run.pid):
                run.go()
            return len(made.events("ring")), len(made.events("perf"))

    assert use() == (23, 23)
    interrupts = 0
    for number in range(lines_run(use, MODULES, TAKES_AND_GIVES)):
        interrupts += interrupted_at(number, use, MODULES, TAKES_AND_GIVES)
        assert owner.held_now() == [], number
        assert attached(os.getpid()) == [], number
        assert not [one for one in threading.enumerate() if one.name.startswith("records of")], number
    assert interrupts > 20
    assert use() == (23, 23)


KILLED = """
import sys, time
from labkit.notebook.cell import NotebookCell
from labkit.notebook.render import note
with NotebookCell(sys.argv[1]) as cell:
    cell.aim(everybody=True)
    cell.attach()
    cell.stream("ring").start()
    cell.box(note("ok", ["accepted"])).start()
    print("attached", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_ended_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "learner.c"
    path.write_text(TEXT)
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "attached\n"
    assert attached(child.pid) != []
    child.send_signal(number)
    child.wait(WAIT_S)
    child.stdout.close()
    ends = time.monotonic() + WAIT_S
    while _programs_of(child.pid):
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert attached(child.pid) == []


def _programs_of(pid: int) -> list[int]:
    listed = subprocess.run(["bpftool", "-j", "prog", "list"], capture_output=True, text=True, check=True).stdout
    return [one["id"] for one in json.loads(listed) if any(each["pid"] == pid for each in one.get("pids", []))]
