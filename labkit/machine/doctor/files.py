# SPDX-License-Identifier: Apache-2.0
"""Rows on files: the two asynchronous interfaces, and the folder where the lessons' files live."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import re
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from labkit.errors import Missing
from labkit.machine import proc
from labkit.machine.doctor import privileges
from labkit.machine.doctor.rows import Finding, as_root, from_error, missing, ok, other_kernel, package, refused
from labkit.machine.folders import data_folder as folder_for_files
from labkit.machine.mounts import IN_MEMORY, mount_of

__all__ = ["data_folder", "io_uring", "io_uring_sqpoll", "libaio", "o_direct"]

ENOUGH_BYTES = 1 << 30  # what the largest lesson writes, with room to spare
QUEUE_DEPTH = 128
_SQPOLL = 2  # IORING_SETUP_SQPOLL
_RING_BYTES = 4096  # struct io_uring is 216 bytes in liburing 2.3; room for what later ones add
_SQE_BYTES = 64
_IOCB_BYTES, _IO_EVENT_BYTES = 64, 32  # linux/aio_abi.h
_ELSEWHERE = "export LABKIT_DATA=/var/tmp/labkit  # a folder on a disk that you may write to"


def io_uring() -> Finding:
    """Set a ring up and pass one NOP through it."""
    return _ring(flags=0)


def io_uring_sqpoll() -> Finding:
    """Set a ring up whose submissions a kernel thread collects."""
    return _ring(flags=_SQPOLL)


def _ring(flags: int) -> Finding:
    try:
        library = ctypes.CDLL("liburing.so.2")
    except OSError as error:
        return missing(f"liburing does not load: {error}", package("liburing-dev"))
    ring = ctypes.create_string_buffer(_RING_BYTES)
    result = library.io_uring_queue_init(8, ring, flags)
    if result < 0:
        return _no_ring(-result)
    try:
        if flags:
            return ok("a ring with a kernel thread for its submissions was set up")
        library.io_uring_get_sqe.restype = ctypes.c_void_p
        ctypes.memset(library.io_uring_get_sqe(ring), 0, _SQE_BYTES)  # operation 0 is the NOP
        result = library.io_uring_submit_and_wait(ring, 1)
        return ok("a NOP went through a ring") if result == 1 else _no_ring(-result)
    finally:
        library.io_uring_queue_exit(ring)


def _no_ring(number: int) -> Finding:
    """Say who is in the way: the kernel's build, the sysctl, a seccomp filter, or something else."""
    told = os.strerror(number)
    level = _sysctl("kernel/io_uring_disabled")
    # Only a kernel that has io_uring has the sysctl, which came with Linux 6.6.
    there = level != "" or _kernel_has("io_uring_setup")
    if number == errno.ENOSYS and not (privileges.seccomp_filtered() and there):
        return missing("this kernel has no io_uring (ENOSYS)", other_kernel("CONFIG_IO_URING=y"))
    if level == "2" or (level == "1" and number == errno.EPERM and "CAP_SYS_ADMIN" not in privileges.effective()):
        allow = as_root("sysctl -w kernel.io_uring_disabled=0")
        return refused(f"the sysctl kernel.io_uring_disabled is {level}", allow)
    if number in (errno.EPERM, errno.EACCES, errno.ENOSYS) and privileges.seccomp_filtered():
        return _filtered(told)
    if number == errno.ENOMEM:
        return refused("not enough locked memory for a ring", "ulimit -l unlimited  # before the lab starts")
    return from_error(OSError(number, told, "setting up a ring"))


def _sysctl(name: str) -> str:
    """Return a sysctl's value, or an empty string where the kernel has none of that name."""
    return proc.text_or_empty(Path("/proc/sys", name))


def _kernel_has(function: str) -> bool:
    symbols = proc.text_or_empty(Path("/proc/kallsyms"))
    return re.search(rf" {function}$", symbols, re.MULTILINE) is not None


def libaio() -> Finding:
    """Set up and tear down a libaio context for as many operations as the lessons keep in flight."""
    library = None
    for name in ("libaio.so.1", "libaio.so.1t64"):  # Debian 13 and Ubuntu 24.04 renamed it
        try:
            library = ctypes.CDLL(name)
            break
        except OSError:
            continue
    if library is None:
        return missing("libaio does not load", package("libaio-dev"))
    taken = f"aio-nr is {_sysctl('fs/aio-nr')} of aio-max-nr {_sysctl('fs/aio-max-nr')}"
    context = ctypes.c_void_p(None)
    result = library.io_setup(QUEUE_DEPTH, ctypes.byref(context))
    if result == 0:
        try:
            step, result = _read_by_aio(library, context)
        finally:
            library.io_destroy(context)
        if result == 1:
            return ok(f"a read went through a context for {QUEUE_DEPTH} operations; {taken}")
    else:
        step = "io_setup"
    if -result == errno.EAGAIN:
        return refused(f"no context for {QUEUE_DEPTH} operations: {taken}", as_root("sysctl -w fs.aio-max-nr=1048576"))
    if -result == errno.ENOSYS and not Path("/proc/sys/fs/aio-nr").exists():
        return missing("this kernel has no AIO (ENOSYS)", other_kernel("CONFIG_AIO=y"))
    if -result in (errno.EPERM, errno.ENOSYS) and privileges.seccomp_filtered():
        return _filtered(f"{step}: {os.strerror(-result)}")
    return from_error(OSError(-result, os.strerror(-result), step))


def _read_by_aio(library: ctypes.CDLL, context: ctypes.c_void_p) -> tuple[str, int]:
    """Read a byte of this file; return the last call of libaio's and its result, which is 1 or a negative errno."""
    block, event = (ctypes.c_char * _IOCB_BYTES)(), (ctypes.c_char * _IO_EVENT_BYTES)()
    into = ctypes.create_string_buffer(1)
    with Path(__file__).open("rb") as file:
        # struct iocb of linux/aio_abi.h: the operation 0 (IOCB_CMD_PREAD) at 16, the file at 20, where, how much
        struct.pack_into("=HhIQQq", block, 16, 0, 0, file.fileno(), ctypes.addressof(into), 1, 0)
        result = library.io_submit(context, 1, (ctypes.c_void_p * 1)(ctypes.addressof(block)))
        step = "io_submit"
        if result == 1:
            step, result = "io_getevents", library.io_getevents(context, 1, 1, event, None)
    return step, int(result)


def _filtered(said: str) -> Finding:
    fix = f"{privileges.CONTAINER}, or with --security-opt seccomp=unconfined"
    return refused(f"a seccomp filter, as containers have, answers {said}", fix)


def data_folder() -> Finding:
    """Write a file in the data folder; look at its file system, device and free space."""
    try:
        folder = folder_for_files()
        with _scratch_file(folder) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except (OSError, Missing) as error:
        return _unusable(error)
    space = os.statvfs(folder)
    free = space.f_bavail * space.f_frsize
    room = f"{free / (1 << 30):.1f} GiB free"
    if free < ENOUGH_BYTES:
        return missing(f"{_where(folder)} has {room}; the lessons want {ENOUGH_BYTES >> 30} GiB", _ELSEWHERE)
    return ok(f"{_where(folder)}, {room}")


def o_direct() -> Finding:
    """Write and read one block past the page cache (O_DIRECT, open(2)), and see whether a device is behind it."""
    try:
        folder = folder_for_files()
        with _scratch_file(folder) as file, mmap.mmap(-1, 4096) as block:
            descriptor = os.open(file.name, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
            try:
                moved = os.pwrite(descriptor, block, 0), os.preadv(descriptor, [block], 0)
            finally:
                os.close(descriptor)
    except (OSError, Missing) as error:
        if isinstance(error, OSError) and error.errno == errno.EINVAL:
            return missing(f"{_where(folder)} does not take O_DIRECT", _ELSEWHERE)
        return _unusable(error)
    if _kind_and_device(folder)[0] in IN_MEMORY:
        return missing(f"{_where(folder)} is memory: there is no device to read from", _ELSEWHERE)
    return ok(f"{_where(folder)}: wrote {moved[0]} and read {moved[1]} bytes past the page cache")


@contextlib.contextmanager
def _scratch_file(folder: Path) -> Iterator[IO[bytes]]:
    """Make a file and remove it at the end; an error names the folder, not the file's random name."""
    try:
        with tempfile.NamedTemporaryFile(prefix="labkit-doctor-", dir=folder) as file:
            yield file
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None


def _where(folder: Path) -> str:
    kind, device = _kind_and_device(folder)
    return f"{folder} ({kind} on {device})" if kind else str(folder)


def _kind_and_device(folder: Path) -> tuple[str, str]:
    """Return the file system and the device of a folder; empty in a chroot, where mounts do not show."""
    try:
        mount = mount_of(folder)
    except OSError:
        return "", ""
    return mount.kind, mount.device or mount.source


def _unusable(error: OSError | Missing) -> Finding:
    """Say why no file can be written in the data folder."""
    cause = error.__cause__ if isinstance(error, Missing) else error
    if not isinstance(cause, OSError):
        return refused(str(error.args[0]).rstrip("."), _ELSEWHERE)
    said = f"{cause.filename or 'the data folder'}: {cause.strerror}"
    if cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return refused(said, _ELSEWHERE)
    return missing(said, _ELSEWHERE)
