# SPDX-License-Identifier: Apache-2.0
"""A cell's live table, its price and its Detach. The workload's calls and bpftool are the witnesses."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from labkit.bpf import proginfo
from labkit.bpf.price import metered
from labkit.errors import BadArgument
from labkit.notebook.cell import NotebookCell
from labkit.notebook.live import Live
from labkit.notebook.panel.run import Run
from labkit.notebook.render import note
from labkit.running.workload import Workload

TEXT = """#include "labkit.h"
struct event { u32 number; };
BPF_RINGBUF_OUTPUT(events, 64);
BPF_HASH(counts, u32, u64);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	struct event event = {.number = 23};
	u32 one = 1;

	if (!labkit_is_target())
		return 0;
	counts.increment(one);
	events.ringbuf_output(&event, sizeof(event), 0);
	return 0;
}
"""
CALLS = 10_007
WAIT_S = 20.0


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[NotebookCell]:
    path = tmp_path / "calls.c"
    path.write_text(TEXT)
    with NotebookCell(path) as made:
        yield made


def call(cell: NotebookCell) -> None:
    with Workload("maps", ["--work", "count", "--calls", str(CALLS)]) as run, cell.watching(run.pid):
        assert run.go()["calls"] == CALLS


def until(holds: object) -> None:
    ends = time.monotonic() + WAIT_S
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < ends
        time.sleep(0.01)


def counted_runs(cell: NotebookCell) -> int:
    """Return how many of 23 runs the kernel counts, as bpftool shows it."""
    number = proginfo.facts(cell.load()["tracepoint__syscalls__sys_enter_getppid"]).id

    def shown() -> int:
        command = ["bpftool", "-j", "prog", "show", "id", str(number)]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(json.loads(told.stdout).get("run_cnt", 0))

    before = shown()
    for _ in range(23):
        os.getppid()
    return shown() - before


@pytest.mark.bpf
def test_the_price_has_the_runs_that_the_workload_made(cell: NotebookCell) -> None:
    with metered(cell) as price:
        call(cell)
        frame = price()
    (row,) = frame.to_dict("records")
    assert CALLS <= row["runs"] < CALLS * 1.1  # others of this machine may call it as well
    assert 10 < row["ns_per_run"] < 1e6
    assert row["cpu_percent"] > 0
    assert row["lost_events"] == cell.events("events").attrs["lost_events"]


@pytest.mark.bpf
def test_the_price_tells_the_runs_of_others_apart(cell: NotebookCell) -> None:
    with Workload("maps", ["--work", "count", "--calls", str(CALLS)]) as run, cell.watching(run.pid):
        with metered(cell) as price:
            for _ in range(CALLS):
                os.getppid()
            assert run.go()["calls"] == CALLS
            (row,) = price().to_dict("records")
    assert CALLS <= row["other_runs"] <= row["runs"] - CALLS
    assert 0 < row["other_cpu_percent"] < row["cpu_percent"]


@pytest.mark.bpf
def test_price_is_a_frame_and_refuses_what_is_no_time(cell: NotebookCell) -> None:
    assert isinstance(cell.price(0.01), pd.DataFrame)
    with pytest.raises(BadArgument, match="seconds=-1"):
        cell.price(-1)


@pytest.mark.bpf
def test_headless_a_stream_is_a_table(cell: NotebookCell) -> None:
    call(cell)
    live = cell.stream("events")
    assert not live.is_running
    assert "23" in live.text
    assert f"{CALLS} records" in live.text.replace(",", "") or "Lost:" in live.text
    assert "<table" in live.html
    assert str(CALLS) in cell.stream("counts").text


@pytest.mark.bpf
def test_a_stream_goes_on_until_stop(cell: NotebookCell) -> None:
    live = cell.stream("counts")
    live.start()
    call(cell)
    until(lambda: any(str(CALLS) in str(widget.value) for widget in live.shown()))
    live.close()
    assert not live.is_running


@pytest.mark.bpf
def test_two_readers_and_a_detach_in_mid_stream(cell: NotebookCell) -> None:
    lives = [cell.stream("events"), cell.stream("counts")]
    for live in lives:
        live.start()
    call(cell)
    cell.detach()
    frame = cell.events("events")
    assert len(frame) + frame.attrs["lost_events"] == CALLS


@pytest.mark.bpf
def test_leaving_the_cell_ends_its_threads(tmp_path: Path) -> None:
    path = tmp_path / "calls.c"
    path.write_text(TEXT)
    with NotebookCell(path) as cell:
        cell.stream("events").start()
        cell.box(note("ok", ["accepted"])).start()
    assert not [one for one in threading.enumerate() if isinstance(one, Run) or one.name.startswith("records of")]


@pytest.mark.bpf
def test_the_box_shows_the_price_while_started_and_detaches(cell: NotebookCell) -> None:
    cell.aim(everybody=True)
    cell.attach()
    box: Live = cell.box(note("ok", ["calls: accepted"]))
    assert box.text == "calls: accepted"
    box.start()
    until(lambda: any("time per run" in str(widget.value) for widget in box.shown()))
    assert counted_runs(cell) >= 23
    box.press("Stop")
    until(lambda: not box.is_running)
    assert counted_runs(cell) == 0
    box.press("Detach")
    assert not cell.bcc.tracepoint_fds
    box.press("Detach")  # again: nothing happens


@pytest.mark.bpf
def test_an_unknown_map_is_refused_before_anything_runs(cell: NotebookCell) -> None:
    with pytest.raises(BadArgument, match="did you mean 'events'"):
        cell.stream("event")
