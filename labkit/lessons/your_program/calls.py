# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: the system calls of a program, and the files and sockets they are about (c/bpf/your_program_calls.c)."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from labkit.bpf import maps
from labkit.bpf.program import Program
from labkit.bpf.syscalls import call_names
from labkit.lessons.your_program.look import Look, sorted_frame
from labkit.lessons.your_program.sockets import name_of, open_before
from labkit.lessons.your_program.target import Running
from labkit.machine.proc import shown

__all__ = ["Calls"]

# bits of `kinds` in the C file
(
    _READS,
    _WRITES,
    _OPENS,
    _OPENS_AT,
    _MAKES_SOCKET,
    _ACCEPTS,
    _CONNECTS,
    _BINDS,
    _CLOSES,
    _SENDS_FILE,
    _COPIES,
    _DUPLICATES,
    _CONTROLS,
    _MAKES_NAMELESS,
    _MAKES_TWO,
    _MAKES_PAIR,
    _CLOSES_RANGE,
    _CLONES,
    _CLONES_BY_STRUCT,
) = (1 << n for n in range(19))
# their result is a descriptor of something that has no name
_NAMELESS = """epoll_create epoll_create1 eventfd eventfd2 fanotify_init inotify_init inotify_init1 io_uring_setup
memfd_create perf_event_open pidfd_getfd pidfd_open signalfd signalfd4 timerfd_create userfaultfd""".split()
KINDS = {
    **dict.fromkeys(["read", "pread64", "readv", "preadv", "preadv2", "recvfrom", "recvmsg"], _READS),
    **dict.fromkeys(["write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg"], _WRITES),
    **dict.fromkeys(["open", "creat"], _OPENS),
    **dict.fromkeys(["openat", "openat2"], _OPENS_AT),
    **dict.fromkeys(["accept", "accept4"], _ACCEPTS),
    "socket": _MAKES_SOCKET,
    "connect": _CONNECTS,
    "bind": _BINDS,
    "close": _CLOSES,
    **dict.fromkeys(["dup", "dup2", "dup3"], _DUPLICATES),
    "fcntl": _CONTROLS,
    **dict.fromkeys(_NAMELESS, _MAKES_NAMELESS),
    **dict.fromkeys(["pipe", "pipe2"], _MAKES_TWO),
    "socketpair": _MAKES_PAIR,
    "close_range": _CLOSES_RANGE,
    "clone": _CLONES,
    "clone3": _CLONES_BY_STRUCT,
    **dict.fromkeys(["sendfile", "sendfile64"], _SENDS_FILE),
    **dict.fromkeys(["copy_file_range", "splice"], _COPIES),
}
_KEY = struct.Struct("=Ii152s")  # struct file_key
_FILE_COLUMNS = ("opens", "reads", "writes", "read_bytes", "written_bytes", "total_ns")
_SUM = np.dtype([(name, "u8") for name in ("count", "errors", "total_ns", "max_ns", "bytes")])


class Calls(Look):
    """Counts system calls; gives "calls" and "files"."""

    views = ("calls", "files")

    def __init__(self) -> None:
        super().__init__(Program("your_program_calls"))

    def prepare(self, running: Running) -> None:
        """Say what the numbers of the calls mean."""
        kinds = np.zeros(1024, dtype=np.uint32)
        self._names = call_names(running.bits)
        for number, name in self._names.items():
            if number < len(kinds):
                kinds[number] = KINDS.get(name, 0)
        maps.write_array(self.program.map_fd("kinds"), kinds)

    def before_the_end(self) -> None:
        """Find the names of files that were open before, while the process lives."""
        for pid, fd, _, _ in self._found():
            if pid and (pid, fd) not in self._links:
                with contextlib.suppress(OSError):
                    link = os.readlink(f"/proc/{pid}/fd/{fd}")
                    self._links[pid, fd] = open_before(pid, link) if link.startswith("socket:") else shown(link)

    def opened(self) -> None:
        """Begin with no names."""
        self._links: dict[tuple[int, int], str] = {}

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return both frames."""
        return {"calls": self._calls(), "files": self._files()}

    def _calls(self) -> pd.DataFrame:
        values = maps.read_array(self.program.map_fd("calls"), _SUM)
        rows = []
        for number, per_cpu in enumerate(values):
            count = int(per_cpu["count"].sum())
            if count:
                rows.append(
                    {
                        "call": self._names.get(number, f"number {number}"),
                        "count": count,
                        "errors": int(per_cpu["errors"].sum()),
                        "total_ns": int(per_cpu["total_ns"].sum()),
                        "mean_ns": int(per_cpu["total_ns"].sum()) / count,
                        "max_ns": int(per_cpu["max_ns"].max()),
                        "bytes": int(per_cpu["bytes"].sum()),
                    }
                )
        columns = ["call", "count", "errors", "total_ns", "mean_ns", "max_ns", "bytes"]
        return sorted_frame(rows, columns, "total_ns")

    def _files(self) -> pd.DataFrame:
        sums: dict[str, dict[str, Any]] = {}
        for pid, fd, raw, found in self._found():
            name = name_of(raw) or self._links.get((pid, fd), "") or f"file {fd} of process {pid}"
            row = sums.setdefault(name, {"path": name, **dict.fromkeys(_FILE_COLUMNS, 0)})
            for column, value in zip(_FILE_COLUMNS, found, strict=True):
                row[column] += int(value)
        return sorted_frame(list(sums.values()), ["path", *_FILE_COLUMNS], "total_ns")

    def _found(self) -> Iterator[tuple[int, int, bytes, npt.NDArray[np.uint64]]]:
        """Yield of each file: process and descriptor, or 0 and its name; and the sums."""
        keys, values = maps.read_raw(self.program.map_fd("files"))
        for key, value in zip(keys, values, strict=True):
            pid, fd, name = _KEY.unpack(key.tobytes())
            yield pid, fd, name, value.view(np.uint64)
