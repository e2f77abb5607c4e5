# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: one run of a workload: what the program reports, and what the kernel saw where a probe was attached."""

from __future__ import annotations

import ctypes as ct
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from labkit.bpf.program import TRACING, Program
from labkit.errors import Missing
from labkit.lessons._io.watch import watching
from labkit.running.progress import Tick
from labkit.running.workload import Workload

__all__ = [
    "ENTERS",
    "EVENTS",
    "PROGRAM",
    "SQPOLL",
    "WORKER",
    "ThreadEvents",
    "UringRun",
    "attached",
    "events_of",
    "flags",
    "run",
]

# enum event of c/bpf/uring.c
EVENTS = (
    "submits",
    "waits",
    "wakes",
    "sqe consumed",
    "handed to a worker",
    "ran",
    "openat",
    "statx",
    "read",
    "close",
    "sendto",
    "recvfrom",
)
ENTERS = EVENTS[:3]  # what io_uring_enter was called for

# the kinds of threads; the kernel puts the process id behind the name of its own
PROGRAM, SQPOLL, WORKER = "program", "iou-sqp", "iou-wrk"


@dataclass(frozen=True)
class ThreadEvents:
    """How often each thread did what, as the kernel saw it: (kind of thread, thread id, event) -> count."""

    counts: dict[tuple[str, int, str], int]
    lost: int = 0  # events that the program had no room for

    def count(self, *events: str, thread: str | None = None) -> int:
        """Return how often these events were seen, by one kind of thread or by all."""
        return sum(n for (kind, _, event), n in self.counts.items() if event in events and thread in (None, kind))

    def threads(self, kind: str) -> int:
        """Return how many threads of a kind have run."""
        return len({tid for name, tid, _ in self.counts if name == kind})

    def rows(self, events: Sequence[str] = EVENTS) -> list[dict[str, Any]]:
        """Return one row per kind of thread and event that was seen: thread, event, count."""
        kinds = [kind for kind in (PROGRAM, SQPOLL, WORKER) if self.threads(kind)]
        rows = [{"thread": k, "event": e, "count": self.count(e, thread=k)} for k in kinds for e in events]
        return [row for row in rows if row["count"]]


@dataclass(frozen=True)
class UringRun:
    """A run that has ended: the program's own JSON, what the kernel saw (None: nothing was attached), the command."""

    report: dict[str, Any]
    kernel: ThreadEvents | None
    command: list[str]

    @property
    def own_calls(self) -> int:
        """How many system calls the program counted for its I/O."""
        return sum(self.report["calls"].values())

    @property
    def seen(self) -> ThreadEvents:
        """What the kernel saw; only where the run was watched."""
        assert self.kernel is not None
        return self.kernel


def run(
    name: str,
    arguments: Sequence[str],
    *,
    program: Program | None = None,
    cpu: int | None = None,
    tick: Tick | None = None,
) -> UringRun:
    """Run one workload to its end.

    Parameters
    ----------
    name, arguments, cpu, tick : see `labkit.running.workload`.
    program : from `attached`, to watch this run; None: nothing is attached.
    """
    with Workload(name, arguments, cpu=cpu) as workload:
        if program is not None:
            program.clear("seen", "labkit_lost")
            program.aim(pid=workload.pid)
        report = workload.go(tick=tick)
    return UringRun(report, None if program is None else events_of(program), workload.command)


def events_of(program: Program) -> ThreadEvents:
    """Return what was seen since the maps were cleared."""
    counts: dict[tuple[str, int, str], int] = {}
    for who, count in program.table("seen").items():
        name = ct.string_at(who.comm).decode(errors="replace")
        kind = next((kind for kind in (SQPOLL, WORKER) if name.startswith(kind)), PROGRAM)
        counts[kind, int(who.tid), EVENTS[who.event]] = int(count.value)
    return ThreadEvents(counts, program.lost_events)


def attached(warnings: list[str] | None = None) -> AbstractContextManager[Program | None]:
    """Attach c/bpf/uring.c during a block and yield it, for `run`.

    Parameters
    ----------
    warnings : where to say that BPF cannot be loaded; then None is yielded. None: that is an error (`Missing`).
    """
    return watching("uring", flags, warnings)


def flags() -> dict[str, int]:
    """Return under which name this kernel has the tracepoint of a submitted request."""
    events = TRACING / "events" / "io_uring"
    if (events / "io_uring_submit_req").is_dir():  # since 6.4
        return {}
    if (events / "io_uring_submit_sqe").is_dir():
        return {"OLD_NAME": 1}
    if (TRACING / "events").is_dir():
        raise Missing("This kernel has no io_uring to watch.", "run a kernel with CONFIG_IO_URING=y, 5.5 or later")
    raise Missing("tracefs is not mounted.", "mount -t tracefs tracefs /sys/kernel/tracing")
