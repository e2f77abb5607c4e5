# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: run a workload, and see from the kernel which of its threads does what for io_uring."""

from __future__ import annotations

import ctypes as ct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labkit.bpf.program import TRACING, Program
from labkit.errors import Missing
from labkit.lessons._io.watch import watching
from labkit.running.progress import Tick
from labkit.running.workload import Workload

__all__ = ["ENTERS", "EVENTS", "PROGRAM", "SQPOLL", "WORKER", "Seen", "Watched", "Watcher", "flags", "watcher"]

# enum what of c/bpf/uring.c
EVENTS = (
    "hands over", "waits", "wakes", "request taken", "given to a worker", "ran",
    "openat", "statx", "read", "close", "sendto", "recvfrom",
)  # fmt: skip
ENTERS = EVENTS[:3]  # what io_uring_enter was called for

# the kinds of threads; the kernel puts the process id behind the name of its own
PROGRAM, SQPOLL, WORKER = "program", "iou-sqp", "iou-wrk"


@dataclass(frozen=True)
class Seen:
    """How often each thread did what: (kind of thread, thread id, event) -> times."""

    times: dict[tuple[str, int, str], int]

    def count(self, *events: str, thread: str | None = None) -> int:
        """Return how often these events were seen, by one kind of thread or by all."""
        return sum(n for (kind, _, event), n in self.times.items() if event in events and thread in (None, kind))

    def threads(self, kind: str) -> int:
        """Return how many threads of a kind have run."""
        return len({tid for name, tid, _ in self.times if name == kind})

    def rows(self, events: Sequence[str] = EVENTS) -> list[dict[str, Any]]:
        """Return a row for each kind of thread and event that was seen: thread, event, count."""
        kinds = [kind for kind in (PROGRAM, SQPOLL, WORKER) if self.threads(kind)]
        rows = [{"thread": k, "event": e, "count": self.count(e, thread=k)} for k in kinds for e in events]
        return [row for row in rows if row["count"]]


@dataclass(frozen=True)
class Watched:
    """A run that has ended: what the program told, what the kernel saw (None: nobody watched), the command."""

    told: dict[str, Any]
    seen: Seen | None
    command: list[str]

    @property
    def own_calls(self) -> int:
        """How many system calls the program believes it made for its I/O."""
        return sum(self.told["calls"].values())

    @property
    def kernel(self) -> Seen:
        """What the kernel saw, where somebody watched."""
        assert self.seen is not None
        return self.seen


class Watcher:
    """Runs workloads, watched by c/bpf/uring.c."""

    def __init__(self, program: Program | None) -> None:
        self._program = program

    def run(self, name: str, arguments: Sequence[str], *, cpu: int | None = None, tick: Tick | None = None) -> Watched:
        """Run one workload to its end; see `labkit.running.workload`."""
        with Workload(name, arguments, cpu=cpu) as run:
            if self._program is not None:
                self.aim(run.pid)
            told = run.go(tick=tick)
        return Watched(told, None if self._program is None else self.seen(), run.command)

    def aim(self, pid: int) -> None:
        """Forget what was seen, and watch this process."""
        self._loaded.clear("seen")
        self._loaded.aim(pid=pid)

    def seen(self) -> Seen:
        """Return what was seen since `aim`."""
        times: dict[tuple[str, int, str], int] = {}
        for who, count in self._loaded.table("seen").items():
            name = ct.string_at(who.comm).decode(errors="replace")
            kind = next((kind for kind in (SQPOLL, WORKER) if name.startswith(kind)), PROGRAM)
            times[kind, int(who.tid), EVENTS[who.what]] = int(count.value)
        return Seen(times)

    @property
    def _loaded(self) -> Program:
        assert self._program is not None
        return self._program


@contextmanager
def watcher(warnings: list[str] | None = None) -> Iterator[Watcher]:
    """Attach the program and yield a `Watcher`.

    Parameters
    ----------
    warnings : where to say that BPF cannot be loaded, and run unwatched; None: that is an error then (`Missing`).
    """
    with watching("uring", flags, warnings) as program:
        yield Watcher(program)


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
