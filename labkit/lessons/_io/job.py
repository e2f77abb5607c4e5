# SPDX-License-Identifier: Apache-2.0
"""What lessons 06 and 07 ask of the workload `io_engines`: one job, checked before anything is started.

What only the machine can refuse (no O_DIRECT, no io_uring, a full disk), the workload says before it is ready.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.errors import bad_argument, check_choice, check_float, check_int
from labkit.machine.folders import data_folder, quick
from labkit.running.files import random_file
from labkit.running.owned import run_folder

__all__ = [
    "ALL_ENGINES",
    "CACHES",
    "DEEP_ENGINES",
    "DURABLE",
    "ENGINES",
    "OPERATIONS",
    "ORDERS",
    "Job",
    "shared_file",
    "timeline",
]

ENGINES = ("sync", "libaio", "io_uring")  # what lesson 07 compares unless asked otherwise
ALL_ENGINES = ("sync", "pool", "nowait", "mmap", "libaio", "io_uring")  # the table of c/workloads/io_engines/main.c
DEEP_ENGINES = ("pool", "libaio", "io_uring")  # can have several I/Os in flight; the others have one
OPERATIONS = ("read", "write")
ORDERS = ("random", "sequential")
CACHES = ("direct", "cold", "warm")
DURABLE = ("none", "end", "every", "dsync")

SMALLEST, LARGEST = 512, 4 << 20
DEEPEST = 1024
SECTOR_BYTES = 512  # no disk has smaller ones; if this one has larger ones, the workload says so
BUFFERS_BYTES = 1 << 30
LARGEST_FILE = 1 << 40
MOST_PER_S = 1e7
BLOCKS_PER_PLACE = 8  # as in c/workloads/io_engines/file.c


@dataclass(frozen=True)
class Job:
    """One run of io_engines: what is done, with which block size, how many at a time.

    Raises BadArgument, naming the parameter, for whatever could not work on any machine.
    """

    engine: str = "sync"
    operation: str = "read"
    order: str = "random"
    cache: str = "direct"  # "direct": O_DIRECT; "cold", "warm": page cache without, with the file in it
    block_bytes: int = 4096
    queue_depth: int = 1
    batch: int = 1  # I/Os submitted per call, at most
    wait_for: int = 1  # I/Os that one call waits for
    durable: str = "none"  # writes: "end": one fdatasync(2) in the measured time; "every"; "dsync": RWF_DSYNC
    sync_every: int = 0  # writes from one fdatasync(2) to the next, with durable="every"
    rate: float = 0.0  # I/Os per second that are due at random times (open loop); 0: closed loop
    file_bytes: int = 0  # size of the working set; 0: 16 MiB, and at least eight blocks per I/O in flight

    def __post_init__(self) -> None:
        check_choice("engine", self.engine, ALL_ENGINES)
        check_choice("operation", self.operation, OPERATIONS)
        check_choice("order", self.order, ORDERS)
        check_choice("cache", self.cache, CACHES)
        check_choice("durable", self.durable, DURABLE)
        self._check_sizes()
        self._check_engine()
        self._check_writes()
        if not self.file_bytes:
            blocks_bytes = BLOCKS_PER_PLACE * self.queue_depth * self.block_bytes
            self._set("file_bytes", max(_least_bytes(self), blocks_bytes))

    def _set(self, name: str, value: float) -> None:
        object.__setattr__(self, name, value)  # as a plain number, whatever kind was passed

    def _check_sizes(self) -> None:
        self._set("block_bytes", check_int("block_bytes", self.block_bytes, SMALLEST, LARGEST, "bytes"))
        step = SECTOR_BYTES if self.cache == "direct" else 8
        if self.block_bytes % step:
            why = "O_DIRECT moves whole sectors" if self.cache == "direct" else "the content is checked by words"
            raise bad_argument("block_bytes", self.block_bytes, f"a multiple of {step} bytes: {why}")
        self._set("queue_depth", check_int("queue_depth", self.queue_depth, 1, DEEPEST, "I/Os"))
        if self.queue_depth * self.block_bytes > BUFFERS_BYTES:
            raise bad_argument("queue_depth", self.queue_depth, "less: depth times block size may be 1 GiB at most")
        self._set("batch", check_int("batch", self.batch, 1, self.queue_depth, "I/Os, the queue depth"))
        self._set("wait_for", check_int("wait_for", self.wait_for, 1, self.queue_depth, "I/Os, the queue depth"))
        self._set("file_bytes", check_int("file_bytes", self.file_bytes, 0, LARGEST_FILE, "bytes"))
        if 0 < self.file_bytes < self.block_bytes:
            raise bad_argument("file_bytes", self.file_bytes, f"0, or at least one block of {self.block_bytes} bytes")

    def _check_engine(self) -> None:
        if self.engine not in DEEP_ENGINES and self.queue_depth != 1:
            raise bad_argument(
                "queue_depth", self.queue_depth, f"1 with the engine {self.engine!r}: it has one I/O at a time"
            )
        for name, value in (("batch", self.batch), ("wait_for", self.wait_for)):
            if self.engine == "pool" and value != 1:
                raise bad_argument(name, value, "1 with the engine 'pool': each thread makes one I/O after the other")
        if self.engine in ("nowait", "mmap") and (self.operation == "write" or self.cache == "direct"):
            raise bad_argument(
                "engine", self.engine, "one that writes and knows O_DIRECT: this one reads the page cache"
            )
        self._set("rate", check_float("rate", self.rate, 0, MOST_PER_S, "I/Os per second"))
        if self.rate and self.engine not in DEEP_ENGINES:
            raise bad_argument("rate", self.rate, f"0 with the engine {self.engine!r}: it has one I/O at a time")

    def _check_writes(self) -> None:
        if self.durable != "none" and self.operation == "read":
            raise bad_argument("durable", self.durable, "'none' with the operation 'read'")
        self._set("sync_every", check_int("sync_every", self.sync_every, 0, 1 << 40, "I/Os"))
        if (self.durable == "every") != (self.sync_every > 0):
            raise bad_argument("sync_every", self.sync_every, "at least 1 with durable='every', and 0 otherwise")

    @property
    def calls(self) -> tuple[str, ...]:
        """The system calls by which it does I/O."""
        positional = "pread64" if self.operation == "read" else "pwritev2" if self.durable == "dsync" else "pwrite64"
        by_engine: dict[str, tuple[str, ...]] = {
            "sync": (positional,),
            "pool": (positional,),
            "nowait": ("preadv2", "pread64"),
            "mmap": (),
            "libaio": ("io_submit", "io_getevents"),
            "io_uring": ("io_uring_enter",),
        }
        return by_engine[self.engine]

    def arguments(
        self, *, seconds: float = 0.0, ios: int = 0, folder: Path | None = None, file: Path | None = None
    ) -> list[str]:
        """Return the options of io_engines: run for this time, or for this number of I/Os.

        It reads `file`, or makes its own, without a name, in `folder` (None: the data folder). If there is no room for
        the whole size, the file is as large as there is room for; `honest.doubts` says so.
        """
        folder = folder or data_folder()
        given = {
            "engine": self.engine,
            "operation": self.operation,
            "order": self.order,
            "cache": self.cache,
            "block-bytes": self.block_bytes,
            "file-bytes": _fitting(self, folder),
            "queue-depth": self.queue_depth,
            "batch": self.batch,
            "wait-for": self.wait_for,
            "seconds": f"{seconds:g}",
            "ios": ios,
            **({"durable": self.durable} if self.durable != "none" else {}),
            **({"sync-every": self.sync_every} if self.sync_every else {}),
            **({"rate": f"{self.rate:g}"} if self.rate else {}),
            **({"file": file} if file else {"folder": folder}),
        }
        return [word for name, value in given.items() for word in (f"--{name}", str(value))]


def _fitting(job: Job, folder: Path) -> int:
    """Return the size of a job's file, or what half of the free space has room for, but not less than a few blocks."""
    room = shutil.disk_usage(folder).free // 2 // job.block_bytes * job.block_bytes
    return min(job.file_bytes, max(room, _least_bytes(job)))


def _least_bytes(job: Job) -> int:
    return max(quick(16, 4) << 20, 4 * job.block_bytes)


@contextmanager
def shared_file(jobs: Sequence[Job]) -> Iterator[Path | None]:
    """Make one file for all jobs, and remove it at the end; None if one of them writes: then each makes its own.

    Making a new file for each short slice of a sweep would take longer than the slice.
    """
    if any(job.operation == "write" for job in jobs):
        yield None
        return
    with run_folder() as folder:
        yield random_file(folder / "blocks", max(_fitting(job, folder) for job in jobs))


# struct record of c/workloads/io_engines/timeline.c
_RECORD = np.dtype(
    {
        "names": ["submit_ns", "submitted_ns", "complete_ns", "offset_bytes", "slot", "block_bytes"],
        "formats": ["<u8", "<u8", "<u8", "<u8", "<u4", "<u4"],
    }
)


def timeline(path: Path) -> npt.NDArray[Any]:
    """Return what io_engines wrote with --timeline: one record per I/O, in the order in which they ended."""
    return np.fromfile(path, dtype=_RECORD)
