# SPDX-License-Identifier: Apache-2.0
"""Folders that are the lab's own while their maker lives, and may be swept afterwards.

The maker holds flock(2) on the folder itself, which also works on a cgroup's folder. The kernel lets go of the lock
when the process ends in any way, so "nobody holds it" means "left behind", in every pid namespace.

The data folder may be one that others use too, such as /var/tmp. So a name that begins like the lab's is not enough:
what is swept has the name that mkdtemp gave it, and in it the file that its maker put there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from labkit.errors import Missing
from labkit.machine.folders import data_folder
from labkit.running import holder, owner
from labkit.running.interrupts import uninterrupted

PREFIX = "labkit-"
RANDOM = "[a-z0-9_]{8}"  # what mkdtemp puts behind a prefix
MARKER = ".labkit-run"
_NEW_PREFIX = ".labkit-new-"
_NEW_FOR_S = 60.0  # a folder that is being made is left alone this long


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """Make a folder `labkit-…` in the data folder for the files of one measurement, hold it, and remove it at the end.

    Raises
    ------
    Missing : it cannot be made.
    """
    parent = data_folder()
    made = _Folder(parent)
    try:
        held = owner.acquire("a folder for data files", made.make, made.remove)
    except OSError as cause:
        raise Missing(
            f"No folder can be made in {parent}: {_why(cause, parent)}.",
            "set LABKIT_DATA to a folder on a real disk that you may write to",
        ) from None
    try:
        yield made.path
    finally:
        held.close()


def _why(cause: OSError, parent: Path) -> str:
    room = os.statvfs(parent) if cause.errno == errno.ENOSPC else None
    return "no inode is free on its file system" if room and room.f_bavail else str(cause.strerror)


class _Folder:
    """A folder that this process holds from `make` to `remove`."""

    def __init__(self, parent: Path) -> None:
        self.path = parent
        self._descriptor = -1

    def make(self) -> None:
        self.path, self._descriptor = _make(self.path)
        # only now does sweep() look at it
        self.path = self.path.rename(self.path.with_name(self.path.name.replace(_NEW_PREFIX, PREFIX, 1)))

    def remove(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            try:
                if self.path.is_dir():
                    remove(self.path)
            finally:
                os.close(descriptor)


def left_behind(parent: Path) -> list[Path]:
    """Return the folders in `parent` that a process of the lab made and no longer holds."""
    return [folder for folder in parent.iterdir() if _is_left_behind(folder)]


def remove(folder: Path) -> None:
    """Remove such a folder: its marker last, so that a removal that is cut short can be taken up again."""
    for entry in list(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != MARKER:
            entry.unlink()
    shutil.rmtree(folder)


def _make(parent: Path) -> tuple[Path, int]:
    """Make a folder with the marker in it and hold it; return it and the descriptor that holds it."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=_NEW_PREFIX, dir=parent))
        with contextlib.suppress(FileNotFoundError):  # sweep() of another process was quicker
            descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                (made / MARKER).touch()
                with contextlib.suppress(OSError):  # a disk that is full; whoever writes data will say so
                    (made / MARKER).write_text(holder.record("a folder for data files"))
                return made, descriptor
            except BaseException:
                os.close(descriptor)
                shutil.rmtree(made, ignore_errors=True)
                raise


def _is_left_behind(folder: Path) -> bool:
    try:
        if re.fullmatch(PREFIX + RANDOM, folder.name):
            marker = folder / MARKER
            return (
                marker.is_file()
                and not holder.is_alive_here(marker.read_text(errors="replace"))
                and not _is_held(folder)
            )
        if re.fullmatch(re.escape(_NEW_PREFIX) + RANDOM, folder.name):
            is_new = time.time() - folder.stat().st_mtime < _NEW_FOR_S
            return not is_new and set(os.listdir(folder)) <= {MARKER} and not _is_held(folder)
    except OSError:  # gone meanwhile, or not ours to read
        return False
    return False


@uninterrupted()
def _is_held(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
