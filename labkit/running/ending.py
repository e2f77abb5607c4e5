# SPDX-License-Identifier: Apache-2.0
"""Wait for a process that was killed, but not forever: in state D it ends only when the kernel lets it.

A read of a file system that never answers (NFS, FUSE), or of a broken disk, is such a place. SIGKILL waits until the
read has ended.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from labkit.errors import LabkitError
from labkit.machine import proc

__all__ = ["END_S", "deadline", "hanging", "wait_killed"]

END_S = 5.0


def wait_killed(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Wait for a child that was sent SIGKILL.

    Raises
    ------
    LabkitError : it has not ended; the error says which process, in which state, and where in the kernel.
    """
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        raise hanging(process.pid) from None


def deadline() -> float:
    """Return until when (time.monotonic) to wait for processes that were killed just now."""
    return time.monotonic() + END_S


def hanging(pid: int) -> LabkitError:
    """Return the error for a process that was killed and is still there."""
    folder = Path("/proc", str(pid))
    try:
        state = proc.stat_fields(folder)[0]
    except (OSError, IndexError):
        state = "?"
    place = proc.text_or_empty(folder / "wchan").strip("0")
    name = proc.shown(proc.text_or_empty(folder / "comm"))
    where = f", in the kernel's {place}" if place else ""
    return LabkitError(
        f"Process {pid} ({name}) was killed and has not ended: it is in state {state}{where}.",
        f"find out what it waits for: sudo cat /proc/{pid}/stack; it ends when that disk or file system answers",
    )
