"""Remove what a killed run of the lab left behind. Called at the start of every measurement."""

from __future__ import annotations

import contextlib
from pathlib import Path

from labkit.errors import Missing
from labkit.machine.folders import data_folder
from labkit.running.cgroup import sweep_cgroups
from labkit.running.owned import left_behind, remove


def sweep() -> list[Path]:
    """Remove leftover cgroups with their processes, and leftover run folders; return what was removed.

    The cgroups go first: a server in one of them may still write to such a folder. Programs need no sweeping: each link
    is a file descriptor, so the kernel detached them when their process died.
    """
    cgroups, folders = sweep_cgroups(), []
    with contextlib.suppress(Missing, OSError):  # whoever needs the data folder will say what is wrong with it
        folders = left_behind(data_folder())
    for folder in folders:
        with contextlib.suppress(OSError):  # another process sweeps it too
            remove(folder)
    return cgroups + folders
