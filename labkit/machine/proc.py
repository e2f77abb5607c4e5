# SPDX-License-Identifier: Apache-2.0
"""Read what the kernel says of a process or a thread (proc_pid_stat(5))."""

from __future__ import annotations

from pathlib import Path

__all__ = ["stat_fields"]


def stat_fields(folder: Path) -> list[str]:
    """Return the fields of the file `stat` after the name, which may hold blanks and brackets: the first is the state.

    Parameters
    ----------
    folder : /proc/PID or /proc/PID/task/TID.

    Raises
    ------
    OSError : there is no such process any more.
    """
    return (folder / "stat").read_text().rpartition(")")[2].split()
