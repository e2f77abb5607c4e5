"""Remove what a killed run of the lab left behind. Called at the start of every measurement."""

from __future__ import annotations

import shutil
from pathlib import Path

from labkit.engine.owned import left_behind
from labkit.machine.folders import data_folder


def sweep() -> list[Path]:
    """Remove leftover run folders, and return what was removed.

    Programs need no sweeping: each link is a file descriptor, so the kernel detached them when their process died.
    """
    removed = left_behind(data_folder())
    for folder in removed:
        shutil.rmtree(folder, ignore_errors=True)
    return removed
