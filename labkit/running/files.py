"""Data files: make one, ask for room, know what is in memory only, and put pages out of the page cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from labkit.errors import LabkitError
from labkit.machine.mounts import IN_MEMORY, mount_of

__all__ = ["in_memory", "leave_cache", "random_file", "room_for"]

_CHUNK_BYTES = 1 << 20


def room_for(folder: Path, size_bytes: int) -> None:
    """Raise `LabkitError` unless the file system of a folder has twice the room that a file needs.

    Parameters
    ----------
    folder : where the file shall be.
    size_bytes : its size.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < 2 * size_bytes:
        raise LabkitError(
            f"The data folder has no room for a file of {size_bytes >> 20} MiB: {free_bytes >> 20} MiB are free.",
            "free some space, or set LABKIT_DATA to a folder on another disk",
        )


def random_file(path: Path, size_bytes: int) -> Path:
    """Write a file of random bytes to the disk (fsync(2)), after asking for room, and return its path."""
    room_for(path.parent, size_bytes)
    chance = np.random.default_rng()  # no secret: a tenth of the time that os.urandom takes
    with path.open("wb") as file:
        for start in range(0, size_bytes, _CHUNK_BYTES):
            file.write(chance.bytes(min(_CHUNK_BYTES, size_bytes - start)))
        file.flush()
        os.fsync(file.fileno())
    return path


def leave_cache(descriptor: int) -> None:
    """Ask the kernel to drop a file's pages from the page cache (posix_fadvise(2), POSIX_FADV_DONTNEED).

    Only clean pages can go, so call fsync(2) first.
    """
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def in_memory(path: Path) -> bool:
    """Return whether a path is on a file system that has no disk under it, such as tmpfs."""
    return mount_of(path).kind in IN_MEMORY
