# SPDX-License-Identifier: Apache-2.0
"""How fast events come from the kernel into a DataFrame: the lab's reader against BCC's callback in Python."""

from __future__ import annotations

import ctypes as ct
import mmap
import time
from pathlib import Path
from typing import Any

import pandas as pd

from bench.figure import Figure, Step, compare
from bench.io import last_cpu
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.machine.folders import quick
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.running.workload import Workload

__all__ = ["STEPS"]

LAB, PEER = "lab", "BCC callback"
PROGRAM = Path(__file__).with_name("events.c")
PAGES = (16 << 20) // mmap.PAGESIZE
FIELDS = ["time_ns", "number", "pid", "tid", "cpu"]


def _fill(program: Program, events: int) -> None:
    """Put this many records in the ring, and detach."""
    program.clear("made", "labkit_lost")
    with Workload("hello", ["--getppid", str(events)], cpu=last_cpu()) as run:
        program.aim(pid=run.pid)
        program.attach()
        run.go()
        program.detach()
    assert program.lost_events == 0, "the ring is too small"


def _by_lab(program: Program, events: int) -> float:
    _fill(program, events)
    began = time.perf_counter()
    with RingReader(program, "events", max_events=events, keeps_old=True) as ring:
        ring.stop()
        frame = ring.frame()
    return _rate(frame, events, time.perf_counter() - began)


def _by_callback(program: Program, events: int) -> float:
    """The way that BCC's reference guide shows, with the time between two polls taken out."""
    _fill(program, events)
    bpf, rows = program.bcc, []
    table = program.table("events")

    def on_event(_: Any, record: Any, size: int) -> int:
        event = table.event(record)
        rows.append((event.time_ns, event.number, event.pid, event.tid, event.cpu))
        return 0

    began = time.perf_counter()
    table.open_ring_buffer(on_event)
    try:
        while len(rows) < events:
            bpf.ring_buffer_consume()
        frame = pd.DataFrame(rows, columns=FIELDS)
        return _rate(frame, events, time.perf_counter() - began)
    finally:
        _close(bpf)


def _close(bpf: Any) -> None:
    """Let BCC forget the ring, so that the next reader has it alone (BCC closes it only at the end of the program)."""
    from labkit.bpf.bcc import libbcc

    libbcc().bpf_free_ringbuf(ct.c_void_p(bpf._ringbuf_manager))
    bpf._ringbuf_manager = None


def _rate(frame: pd.DataFrame, events: int, took_s: float) -> float:
    assert len(frame) == events and list(frame) == FIELDS and frame["number"].is_monotonic_increasing
    return events / took_s


def _against_callback(progress: Progress) -> list[Figure]:
    events = quick(300_000, 20_000)
    with Program(source=PROGRAM, flags={"PAGES": PAGES}) as program:
        arms = {LAB: lambda: _by_lab(program, events), PEER: lambda: _by_callback(program, events)}
        return [compare("events.rate_vs_bcc", arms, arm=LAB, baseline=PEER, slices=quick(8, 2), progress=progress)]


def _sustained(progress: Progress) -> list[Figure]:
    """A producer at a million a second: is each event delivered? Counted by the producer, not by the lab."""
    rate, seconds = 1_000_000, quick(10, 1)
    asked = rate * seconds
    with Program(source=PROGRAM, flags={"PAGES": PAGES}) as program, exclusive("bench: events.sustained", progress):
        program.clear("made", "labkit_lost")
        with RingReader(program, "events", max_events=asked) as ring:
            options = ["--getppid", str(asked), "--calls-per-s", str(rate)]
            with Workload("hello", options, cpu=last_cpu()) as run:
                program.aim(pid=run.pid)
                program.attach()
                told = run.go(timeout_s=10 * seconds, tick=lambda gone_s: progress(min(gone_s / seconds, 1), "events"))
                program.detach()
            ring.stop()
            frame, lost = ring.frame(), ring.lost
    share = len(frame) / told["calls"]
    facts = {"events_per_s": told["calls"] / told["elapsed_s"], "lost_events": lost}
    warnings = []
    if facts["events_per_s"] < 0.98 * rate:
        warnings.append(f"The producer came to {facts['events_per_s'] / 1e6:.2f} million a second only.")
    return [Figure("events.sustained", share, share, share, 1, warnings, None, facts)]


STEPS = (
    Step(("events.rate_vs_bcc",), _against_callback, 24),
    Step(("events.sustained",), _sustained, 14),
)
