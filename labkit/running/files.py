# SPDX-License-Identifier: Apache-2.0
"""Data files: make one, ask for room, know what is in memory only, and put pages out of the page cache."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from labkit.errors import LabkitError, Missing
from labkit.machine import refusals
from labkit.machine.mounts import IN_MEMORY, mount_of
from labkit.running.progress import Progress, silent
from labkit.schema import si_bytes

__all__ = ["cached_bytes", "in_memory", "leave_cache", "random_file", "room_for", "writing"]

_CHUNK_BYTES = 1 << 20
_BETWEEN_REPORTS_BYTES = 16 * _CHUNK_BYTES
_ATTEMPTS = 3  # pages that another CPU has just touched go at the second time


def room_for(folder: Path, size_bytes: int) -> None:
    """Raise `LabkitError` unless the file system of a folder has twice the room that a file needs.

    Parameters
    ----------
    folder : where the file goes.
    size_bytes : its size.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < 2 * size_bytes:
        raise LabkitError(
            f"The data folder has no room for a file of {si_bytes(size_bytes)}: {si_bytes(2 * size_bytes)} should be "
            f"free, {si_bytes(free_bytes)} are.",
            "free some space, or set LABKIT_DATA to a folder on another disk",
        )


def random_file(path: Path, size_bytes: int, progress: Progress = silent) -> Path:
    """Write a file of random bytes to the disk (fsync(2)), after asking for room, and return its path."""
    room_for(path.parent, size_bytes)
    chance = np.random.default_rng()  # no secret: a tenth of the time that os.urandom takes
    with writing(path), path.open("wb") as file:
        for start in range(0, size_bytes, _CHUNK_BYTES):
            if start % _BETWEEN_REPORTS_BYTES == 0:
                progress(start / size_bytes, "writing a file")
            file.write(chance.bytes(min(_CHUNK_BYTES, size_bytes - start)))
        file.flush()
        os.fsync(file.fileno())
    return path


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let the block write a data file; what the kernel refuses becomes an error that says who, and what to do.

    Raises
    ------
    Missing : no room, a limit on the size of files, a quota, a read-only file system, or a fault of the disk.
    """
    try:
        yield
    except OSError as cause:
        fix = "free some space, or set LABKIT_DATA to a folder on another disk"
        reason = str(cause.strerror)
        if cause.errno == errno.EFBIG:
            reason = f"this process may write files of {resource.getrlimit(resource.RLIMIT_FSIZE)[0]} bytes at most"
            fix = "ulimit -f unlimited  # before the lab starts"
        elif cause.errno in (errno.EPERM, errno.ENOSYS):
            who, fix = refusals.who_refused("such call", cause.errno)
            reason += f" {who}"
        raise Missing(f"A data file cannot be written to {path.parent}: {reason}.", fix) from cause


def leave_cache(descriptor: int) -> None:
    """Drop a file's pages from the page cache (posix_fadvise(2), POSIX_FADV_DONTNEED), and look that they are gone.

    Only clean pages can go, so call fsync(2) first.

    Raises
    ------
    Missing : the advice is refused, or pages stay: a file in memory, or one that somebody else uses.
    """
    try:
        for _ in range(_ATTEMPTS):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            stayed_bytes = cached_bytes(descriptor)
            if stayed_bytes == 0:
                return
    except OSError as cause:
        raise Missing(
            f"The page cache cannot be emptied of a file: posix_fadvise(2) or mincore(2) says {cause.strerror}.",
            "start the container with --privileged, or allow both calls in its seccomp filter",
        ) from cause
    raise Missing(
        f"{stayed_bytes >> 10} KiB of a file stay in the page cache, so it cannot be read cold.",
        "set LABKIT_DATA to a folder on a disk (tmpfs is memory), and end what else reads the file",
    )


def cached_bytes(descriptor: int) -> int:
    """Return how many bytes of a file are in the page cache, in whole pages (mincore(2))."""
    size_bytes = os.fstat(descriptor).st_size
    if size_bytes == 0:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    resident = np.zeros(-(-size_bytes // mmap.PAGESIZE), dtype=np.uint8)
    with mmap.mmap(descriptor, size_bytes, prot=mmap.PROT_READ) as mapped:
        # NumPy tells the address of memory that may not be written; ctypes does not
        view = np.frombuffer(mapped, dtype=np.uint8)
        address, room = ctypes.c_void_p(view.ctypes.data), ctypes.c_void_p(resident.ctypes.data)
        failed = libc.mincore(address, ctypes.c_size_t(size_bytes), room)
        del view  # or the mapping could not be closed
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "mincore")
    return int((resident & 1).sum()) * mmap.PAGESIZE


def in_memory(path: Path) -> bool:
    """Return whether a path is on a file system that has no disk under it, such as tmpfs."""
    return mount_of(path).kind in IN_MEMORY
