# SPDX-License-Identifier: Apache-2.0
"""Lesson 02: how records reach user space: one ring buffer for all CPUs, or a perf buffer for each.

Both are read only when the workload has ended, so that nothing disturbs it and the order of arrival is plain to see.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import mmap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from labkit import schema
from labkit.bpf.bcc import libbcc, online_cpus
from labkit.bpf.program import Program
from labkit.bpf.ring import record_dtype
from labkit.errors import LabkitError, bad_argument, check_int, check_seed
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running import owner
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick
from labkit.running.workload import Workload
from labkit.stats import trial

__all__ = ["CHANNELS", "channels", "order"]

NONE = "no channel"
# (CHANNEL, WAKING) of c/bpf/maps_channels.c
CHANNELS = {
    "ring buffer": (1, 0),
    "perf buffer": (2, 0),
    "ring buffer with waking": (1, 1),
    "perf buffer with waking": (2, 1),
}
PAGE_BYTES = mmap.PAGESIZE
_NEVER = 1 << 30  # wake the reader after this many records

Read = Callable[[], npt.NDArray[Any]]


def order(turns: int = 31, *, progress: Progress | None = None) -> pd.DataFrame:
    """Let two threads on two CPUs write in turn, and see in which order the records of each channel arrive.

    Parameters
    ----------
    turns : of each thread, 1 to 10000. Write number n happens only after write n - 1 has returned.
    progress : see `labkit.running.progress`.

    Returns a frame with one row per record: arm ("ring buffer", "perf buffer"), arrived (from 0),
    event_number (from 1), cpu,
    time_ns, calls (of both threads, by their own count: the same in each row).
    """
    turns = check_int("turns", turns, 1, 10_000, "turns")
    frames, lost = [], 0
    arguments = ["--work", "turns", "--threads", "2", "--calls", str(turns)]
    with exclusive("lesson 02: order", progress) as report:
        for number, arm in enumerate(("ring buffer", "perf buffer")):
            report(number / 2, arm)
            records, told, lost_here = _sent(arm, 256, arguments)
            lost += lost_here
            columns = {name: records[name] for name in ("event_number", "cpu", "time_ns")}
            frames.append(pd.DataFrame({"arm": arm, "arrived": range(len(records)), **columns, "calls": told["calls"]}))
        facts = provenance(command=told["command"], lost_events=lost)
        if len({worker["cpu"] for worker in told["workers"]}) == 1:
            facts["warnings"].append("one CPU only: one perf buffer, so its order is right too")
    return schema.frame(pd.concat(frames, ignore_index=True), **facts)


def channels(
    calls: int | None = None,
    threads: int = 2,
    pages: int = 512,
    *,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Send a record for each system call by either channel; see what it costs the program and what is lost.

    Parameters
    ----------
    calls : of each thread, 1 to 1 million; None is 10007 (2003 with LABKIT_QUICK=1).
    threads : 1 to 64, on CPUs of their own.
    pages : room for all records together, in pages of this kernel (mostly 4 KiB), a power of two from 1 to 4096. The
        ring buffer has all of it; of the perf buffers each CPU has its share, rounded down to a power of two.
    slices : slices of each arm, 2 to 100; None is 6 (2 with LABKIT_QUICK=1).
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per slice: arm (a name of `CHANNELS`), slice, threads, room_bytes, records (made, as the program counted),
    received, lost_events, ns_per_call. The baseline "no channel" makes each record and throws it away. The arms
    "waking" ask for an interrupt that wakes the reader after each record.
    """
    calls = check_int("calls", quick(10_007, 2003) if calls is None else calls, 1, 1_000_000, "calls")
    threads = check_int("threads", threads, 1, 64, "threads")
    pages = check_int("pages", pages, 1, 4096, "that is a power of two: the kernel takes no other size")
    if pages & (pages - 1):
        raise bad_argument("pages", pages, "a power of two from 1 to 4096: the kernel takes no other size")
    slices = trial.check_slices(slices, 6, 2)
    arguments = ["--work", "sizes", "--threads", str(threads), "--calls", str(calls)]
    seed = check_seed(seed)

    def one(arm: str, _: Tick) -> dict[str, Any]:
        channel = arm.removesuffix(trial.AGAIN)
        records, answer, lost = _sent(channel, pages, arguments)
        return {
            "threads": threads,
            "room_bytes": pages * PAGE_BYTES if channel in CHANNELS else 0,
            "records": answer["records"],
            "received": len(records),
            "lost_events": lost,
            "ns_per_call": max(worker["elapsed_s"] for worker in answer["workers"]) * 1e9 / calls,
        }

    with exclusive("lesson 02: ring buffer and perf buffer", progress) as report:
        made = trial.interleaved([NONE, *CHANNELS, NONE + trial.AGAIN], one, slices=slices, seed=seed, progress=report)
        frame = made.frame()
        lost = int(frame["lost_events"].sum())
        facts = provenance(command=["maps", *arguments], lost_events=lost, baseline=NONE, seed=made.seed)
    return schema.frame(frame, **facts)


def _sent(arm: str, pages: int, arguments: list[str]) -> tuple[npt.NDArray[Any], dict[str, Any], int]:
    """Run the workload; return the records that arrived, its answer (and records made), and how many were lost."""
    channel, waking = CHANNELS.get(arm, (0, 0))
    flags = {"CHANNEL": channel, "WAKING": waking, "PAGES": pages}
    with Program("maps_channels", flags=flags) as program:
        with _channel(arm, program, pages) as read, Workload("maps", arguments) as run:
            with program.watching(run.pid):
                answer = run.go()
            records = read()
        return (
            records,
            answer | {"records": int(program.counters("records")[0]), "command": run.command},
            program.lost_events,
        )


@contextlib.contextmanager
def _channel(arm: str, program: Program, pages: int) -> Iterator[Read]:
    """Open a channel; what it gives reads all that is waiting in it."""
    if arm not in CHANNELS:
        yield lambda: np.empty(0)
        return
    dtype, kept = record_dtype(program, "events"), bytearray()

    def keep(record: int, size: int) -> None:
        # a perf record is padded to 8 bytes: its size may be larger than the struct
        kept.extend(ct.string_at(record, min(size, dtype.itemsize)))

    with _ring(program, keep) if arm.startswith("ring") else _perf(program, pages, arm, keep) as drain:
        drain()
        kept.clear()  # what an interrupted measurement left in the ring of a program that is kept for reruns

        def read() -> npt.NDArray[Any]:
            drain()
            return np.frombuffer(bytes(kept), dtype=dtype)

        yield read


@contextlib.contextmanager
def _ring(program: Program, keep: Callable[[int, int], None]) -> Iterator[Callable[[], None]]:
    def on_record(_: int, record: int, size: int) -> int:
        keep(record, size)
        return 0

    callback = ct.CFUNCTYPE(ct.c_int, ct.c_void_p, ct.c_void_p, ct.c_size_t)(on_record)
    lib, opened = libbcc(), list[int]()

    def open_it() -> None:
        ring = lib.bpf_new_ringbuf(program.map_fd("events"), ct.cast(callback, ct.c_void_p), None)
        if not ring:
            raise LabkitError("The ring buffer could not be opened.", "see `labkit doctor`: the row ring_buffer")
        opened.append(ring)

    held = owner.acquire("a ring buffer", open_it, lambda: [lib.bpf_free_ringbuf(ring) for ring in opened])
    try:
        yield lambda: lib.bpf_consume_ringbuf(opened[0])
    finally:
        held.close()


@contextlib.contextmanager
def _perf(program: Program, pages: int, arm: str, keep: Callable[[int, int], None]) -> Iterator[Callable[[], None]]:
    table, cpus = program.table("events"), online_cpus()
    share = 1 << max(pages // len(cpus), 1).bit_length() - 1
    wakeup_events = 1 if arm.endswith("waking") else _NEVER
    how = {"page_cnt": share, "wakeup_events": wakeup_events}

    def close() -> None:
        for cpu in cpus:
            with contextlib.suppress(KeyError):  # not all of them are open if opening failed
                del table[cpu]

    def open_all() -> None:
        table.open_perf_buffer(lambda _, record, size: keep(record, size), **how)

    held = owner.acquire("perf buffers", open_all, close)
    try:
        yield program.bcc.perf_buffer_consume
    finally:
        held.close()
