"""Folders that are the lab's own while their maker lives, and may be swept afterwards.

The maker holds flock(2) on the folder itself, which also works on a cgroup's folder. The kernel lets go of the lock
when the process ends in any way, so "nobody holds it" means "left behind", in every pid namespace.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from labkit.errors import LabkitError
from labkit.machine.folders import data_folder

PREFIX = "labkit-"
_NEW_PREFIX = ".labkit-new-"
_NEW_FOR_S = 60.0  # a folder that is being made is left alone this long


@contextlib.contextmanager
def owned_folder(parent: Path, remove: Callable[[Path], None] = shutil.rmtree) -> Iterator[Path]:
    """Make a folder `labkit-…` in `parent`, hold it, and remove it at the end.

    Parameters
    ----------
    parent : where; a data folder, or a cgroup.
    remove : how to remove it; `Path.rmdir` for a cgroup.
    """
    try:
        made = Path(tempfile.mkdtemp(prefix=_NEW_PREFIX, dir=parent))
    except OSError as cause:
        raise LabkitError(
            f"No folder can be made in {parent}: {cause.strerror}.",
            "set LABKIT_DATA to a folder on a real disk that you may write to",
        ) from None
    folder = made.with_name(made.name.replace(_NEW_PREFIX, PREFIX, 1))
    descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        made.rename(folder)  # only now does sweep() look at it
        yield folder
    finally:
        for left in (made, folder):
            if left.is_dir():
                remove(left)
        os.close(descriptor)


def left_behind(parent: Path) -> list[Path]:
    """Return the folders in `parent` that a process of the lab made and no longer holds."""
    found = []
    for folder in parent.glob(f"{PREFIX}*"):
        if folder.is_dir() and not _is_held(folder):
            found.append(folder)
    for folder in parent.glob(f"{_NEW_PREFIX}*"):
        if folder.is_dir() and time.time() - folder.stat().st_mtime > _NEW_FOR_S and not _is_held(folder):
            found.append(folder)
    return found


def run_folder() -> contextlib.AbstractContextManager[Path]:
    """Return a context manager: a folder in the data folder for the files of one measurement."""
    return owned_folder(data_folder())


def _is_held(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return True  # gone meanwhile: its owner removed it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
