"""What lessons 06 and 07 ask of the workload `io_engines`: one job, checked before anything is started.

What only the machine can refuse (no O_DIRECT, no io_uring, a full disk), the workload says before it is ready.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.errors import LabkitError, bad_argument, check_choice, check_int
from labkit.machine.folders import data_folder, quick
from labkit.running.owned import run_folder

__all__ = ["CACHES", "ENGINES", "OPERATIONS", "ORDERS", "Job", "shared_file", "timeline"]

ENGINES = ("sync", "libaio", "io_uring")
OPERATIONS = ("read", "write")
ORDERS = ("random", "sequential")
CACHES = ("direct", "cold", "warm")

SMALLEST, LARGEST = 512, 4 << 20
DEEPEST = 1024
SECTOR_BYTES = 512  # no disk has smaller ones; a larger one is the workload's to tell
BUFFERS_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Job:
    """One run of io_engines: what is done, to which block size, how many at a time.

    Raises BadArgument, naming the parameter, for whatever could not work on any machine.
    """

    engine: str = "sync"
    operation: str = "read"
    order: str = "random"
    cache: str = "direct"  # "direct": O_DIRECT; "cold", "warm": page cache without, with the file in it
    block_bytes: int = 4096
    queue_depth: int = 1
    batch: int = 1  # at most so many are handed over with one call
    wait_for: int = 1  # one call waits for so many to end

    def __post_init__(self) -> None:
        check_choice("engine", self.engine, ENGINES)
        check_choice("operation", self.operation, OPERATIONS)
        check_choice("order", self.order, ORDERS)
        check_choice("cache", self.cache, CACHES)
        object.__setattr__(self, "block_bytes", check_int("block_bytes", self.block_bytes, SMALLEST, LARGEST, "bytes"))
        step = SECTOR_BYTES if self.cache == "direct" else 8
        if self.block_bytes % step:
            why = "O_DIRECT moves whole sectors" if self.cache == "direct" else "the content is checked by words"
            raise bad_argument("block_bytes", self.block_bytes, f"a multiple of {step} bytes: {why}")
        object.__setattr__(self, "queue_depth", check_int("queue_depth", self.queue_depth, 1, DEEPEST, "I/Os"))
        if self.engine == "sync" and self.queue_depth != 1:
            raise bad_argument("queue_depth", self.queue_depth, "1 with the engine 'sync': it has one I/O at a time")
        if self.queue_depth * self.block_bytes > BUFFERS_BYTES:
            raise bad_argument("queue_depth", self.queue_depth, "less: depth times block size may be 1 GiB at most")
        object.__setattr__(self, "batch", check_int("batch", self.batch, 1, self.queue_depth, "I/Os, the queue depth"))
        object.__setattr__(
            self, "wait_for", check_int("wait_for", self.wait_for, 1, self.queue_depth, "I/Os, the queue depth")
        )

    @property
    def file_bytes(self) -> int:
        """Size of the data file: small enough to be made in a moment, and never less than some blocks."""
        return max(quick(16, 4) << 20, 4 * self.block_bytes)

    @property
    def calls(self) -> tuple[str, ...]:
        """The system calls by which it does I/O."""
        by_engine = {
            "sync": ("pread64",) if self.operation == "read" else ("pwrite64",),
            "libaio": ("io_submit", "io_getevents"),
            "io_uring": ("io_uring_enter",),
        }
        return by_engine[self.engine]

    def arguments(
        self, *, seconds: float = 0.0, ios: int = 0, folder: Path | None = None, file: Path | None = None
    ) -> list[str]:
        """Return the options of io_engines: run so long, or so many I/Os.

        It reads `file`, or makes a file of its own, without a name, in `folder` (None: the data folder).
        """
        given = {
            "engine": self.engine,
            "operation": self.operation,
            "order": self.order,
            "cache": self.cache,
            "block-bytes": self.block_bytes,
            "file-bytes": self.file_bytes,
            "queue-depth": self.queue_depth,
            "batch": self.batch,
            "wait-for": self.wait_for,
            "seconds": f"{seconds:g}",
            "ios": ios,
            **({"file": file} if file else {"folder": folder or data_folder()}),
        }
        return [word for name, value in given.items() for word in (f"--{name}", str(value))]


@contextmanager
def shared_file(jobs: Sequence[Job]) -> Iterator[Path | None]:
    """Make one file for all jobs, and remove it at the end; None where they write, for each makes its own then.

    Making a file anew for each short slice of a sweep would take longer than the slice.
    """
    if any(job.operation == "write" for job in jobs):
        yield None
        return
    with run_folder() as folder:
        path = folder / "blocks"
        size = max(job.file_bytes for job in jobs)
        if shutil.disk_usage(folder).free < 2 * size:
            raise LabkitError(
                f"The data folder has no room for a file of {size >> 20} MiB.",
                "free some space, or set LABKIT_DATA to a folder on another disk",
            )
        chance = np.random.default_rng()  # no secret: a tenth of the time that os.urandom takes
        with path.open("wb") as file:
            for _ in range(0, size, _CHUNK_BYTES):
                file.write(chance.bytes(_CHUNK_BYTES))
            file.flush()
            os.fsync(file.fileno())
        yield path


# struct record of c/workloads/io_engines.c
_RECORD = np.dtype(
    {
        "names": ["submit_ns", "submitted_ns", "complete_ns", "offset_bytes", "slot", "bytes"],
        "formats": ["<u8", "<u8", "<u8", "<u8", "<u4", "<u4"],
    }
)


def timeline(path: Path) -> npt.NDArray[Any]:
    """Return what io_engines wrote with --timeline: a record an I/O, in the order in which they ended."""
    return np.fromfile(path, dtype=_RECORD)
