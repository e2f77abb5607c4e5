# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: the system calls of a program, and the files and sockets they are about (c/bpf/your_program_calls.c)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd

from labkit.bpf import maps
from labkit.bpf.program import Program
from labkit.bpf.syscalls import call_names
from labkit.lessons.your_program.look import Look, sorted_frame
from labkit.lessons.your_program.target import Running

__all__ = ["Calls"]

# bits of `kinds` in the C file
_READS, _WRITES, _OPENS, _OPENS_AT, _MAKES_SOCKET, _CLOSES = 1, 2, 4, 8, 16, 32
KINDS = {
    **dict.fromkeys(["read", "pread64", "readv", "preadv", "preadv2", "recvfrom", "recvmsg"], _READS),
    **dict.fromkeys(["write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg"], _WRITES),
    **dict.fromkeys(["open", "creat"], _OPENS),
    **dict.fromkeys(["openat", "openat2"], _OPENS_AT),
    **dict.fromkeys(["socket", "accept", "accept4"], _MAKES_SOCKET),
    "close": _CLOSES,
}
_SUM = np.dtype([(name, "u8") for name in ("count", "errors", "total_ns", "max_ns", "bytes")])


class Calls(Look):
    """Counts system calls; gives "calls" and "files"."""

    views = ("calls", "files")

    def __init__(self) -> None:
        super().__init__(Program("your_program_calls"))

    def prepare(self, running: Running) -> None:
        """Say what the numbers of the calls mean."""
        kinds = np.zeros(1024, dtype=np.uint32)
        for number, name in call_names().items():
            if number < len(kinds):
                kinds[number] = KINDS.get(name, 0)
        maps.write_array(self.program.map_fd("kinds"), kinds)

    def before_the_end(self) -> None:
        """Find the names of files that were open before, while the process lives."""
        for pid, fd, *_ in self.program.hash("files"):
            if pid and (pid, fd) not in self._links:
                try:
                    self._links[pid, fd] = os.readlink(f"/proc/{pid}/fd/{fd}")
                except OSError:
                    continue

    def opened(self) -> None:
        """Begin with no names."""
        self._links: dict[tuple[int, int], str] = {}

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return both frames."""
        return {"calls": self._calls(), "files": self._files()}

    def _calls(self) -> pd.DataFrame:
        values = maps.read_array(self.program.map_fd("calls"), _SUM)
        names, rows = call_names(), []
        for number, per_cpu in enumerate(values):
            count = int(per_cpu["count"].sum())
            if count:
                rows.append(
                    {
                        "call": names.get(number, f"number {number}"),
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
        for (pid, fd, raw), found in self.program.hash("files").items():
            name = raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
            name = name or self._links.get((pid, fd), "") or f"file {fd} of process {pid}"
            row = sums.setdefault(name, {"path": name, **dict.fromkeys(found, 0)})
            for column, value in found.items():
                row[column] += value
        columns = ["path", "opens", "reads", "writes", "read_bytes", "written_bytes", "total_ns"]
        return sorted_frame(list(sums.values()), columns, "total_ns")
