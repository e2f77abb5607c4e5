# SPDX-License-Identifier: Apache-2.0
"""Who holds something of the lab's, as a record for others to read: who, where, since when, and for about how long.

A record names a process so that no other one can be taken for it: its boot (/proc/sys/kernel/random/boot_id), its pid
namespace, its id there, and its start time (proc_pid_stat(5), field 22). What decides whether a thing is held is
flock(2); the record is for people, and for file systems whose locks do not reach everybody.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from labkit.machine.pidns import own_pid_namespace
from labkit.machine.proc import stat_fields

__all__ = ["describe", "is_alive_here", "record"]

PURPOSE_LETTERS, WHO_LETTERS = 80, 32
LEAST_SHARE = 0.05  # below it, nothing is said of the time left
_START_FIELD = 22 - 3  # of /proc/PID/stat, counted from the one that follows the name


def record(purpose: str, share: float = 0.0, *, since_s: float | None = None) -> str:
    """Return a record of this process as one line of JSON.

    Parameters
    ----------
    purpose : what is done, shown to whoever waits.
    share : the part of it that is done, 0 to 1.
    since_s : when it began, on CLOCK_BOOTTIME, in seconds; now, unless given.
    """
    return json.dumps(
        {
            "purpose": purpose[:PURPOSE_LETTERS],
            "who": os.environ.get("JUPYTERHUB_USER", "")[:WHO_LETTERS],
            "boot": _boot(),
            "pid_namespace": own_pid_namespace().inode,
            "pid": os.getpid(),
            "started": _start_time(os.getpid()),
            "since_s": round(_now_s() if since_s is None else since_s, 1),
            "share": round(share, 3),
        }
    )


def describe(text: str) -> str:
    """Return a record in words; "another measurement" where it says nothing that can be believed."""
    try:
        told: dict[str, Any] = json.loads(text)
        gone_s = max(0.0, _now_s() - float(told["since_s"]))
        share = float(told.get("share", 0.0))
        where = "" if int(told["pid_namespace"]) == own_pid_namespace().inode else " of another container"
        words = [f"process {int(told['pid'])}{where}", f"running for {gone_s:.0f} s"]
        if who := _printable(told.get("who", ""), WHO_LETTERS):
            words.insert(0, who)
        if LEAST_SHARE <= share <= 1.0:
            words.append(f"about {gone_s * (1 - share) / share:.0f} s left")
        return f"{_printable(told['purpose'], PURPOSE_LETTERS)} ({', '.join(words)})"
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return "another measurement"


def is_alive_here(text: str) -> bool:
    """Return whether a record's process runs, in this boot and this pid namespace; False where that cannot be told."""
    try:
        told = json.loads(text)
        if (told["boot"], told["pid_namespace"]) != (_boot(), own_pid_namespace().inode):
            return False
        return bool(_start_time(int(told["pid"])) == told["started"])
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError):
        return False


def _printable(text: str, letters: int) -> str:
    return "".join(letter for letter in text[:letters] if letter.isprintable())


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _start_time(pid: int) -> int:
    """Return when a process started, in clock ticks after the boot."""
    return int(stat_fields(Path(f"/proc/{pid}"))[_START_FIELD])
