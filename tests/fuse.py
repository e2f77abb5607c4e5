# SPDX-License-Identifier: Apache-2.0
"""A file system of one file, whose reads are answered as a test says: early, late, with an error, or never.

It speaks the protocol of /dev/fuse (include/uapi/linux/fuse.h). The file is the root of the mount, and the mount is
detached as soon as the file is open: however the test ends, no mount is left. What reads it gets `path`, and inherits
the descriptor that the path names. When this process ends, the kernel ends every read that waits for an answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

HALF = "half"  # the first half of the bytes
END = "end"  # no bytes: the file ends here
NEVER = "never"  # no answer, until answer_all()
Answer = int | float | str  # -errno, a delay in seconds, HALF, END or NEVER

_DEVICE = Path("/dev/fuse")
_REQUEST = struct.Struct("<IIQQIIIHH")  # struct fuse_in_header
_GETATTR, _OPEN, _READ, _STATFS, _RELEASE, _FSYNC, _INIT = 3, 14, 15, 17, 18, 20, 26
_NO_ANSWER = (2, 36, 42)  # FORGET, INTERRUPT, BATCH_FORGET
_ASYNC_READ, _ASYNC_DIO = 1 << 0, 1 << 15
_DIRECT_IO = 1 << 0  # FOPEN_DIRECT_IO
_MNT_DETACH = 2
_LARGEST_REQUEST = 1 << 20


class FuseFile:
    """The file, and what it was asked for.

    Parameters
    ----------
    content : all of its bytes.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.answers: deque[Answer] = deque()  # one per read, from now on; then all reads are answered at once
        self.direct = False  # who opens it now gets no page cache: through that one, the end of a short read is zeros
        self.reads = 0  # that were answered, with whatever
        self.answered_bytes = 0
        self.waiting = threading.Event()  # a read waits for answer_all()
        self.descriptor = -1  # of the file; for pass_fds
        self._unanswered: list[tuple[int, int, int]] = []
        self._device = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
        self._server = threading.Thread(target=self._serve, name="fuse", daemon=True)

    @property
    def path(self) -> str:
        """Its name in a process that inherits `descriptor`."""
        return f"/proc/self/fd/{self.descriptor}"

    def _serve(self) -> None:
        """Answer until the file system is gone."""
        while True:
            try:
                request = os.read(self._device, _LARGEST_REQUEST)
            except InterruptedError:
                continue
            except OSError as error:  # ENODEV: nobody has it open any more
                if error.errno == errno.ENOENT:  # a request was interrupted before we saw it
                    continue
                return
            _, opcode, unique, *_ = _REQUEST.unpack_from(request)
            with contextlib.suppress(OSError):  # ENOENT: nobody waits for the answer any more
                self._answer(opcode, unique, request[_REQUEST.size :])

    def answer_all(self) -> None:
        """Answer the reads that wait, as if nothing had been."""
        waiting, self._unanswered = self._unanswered, []
        for unique, offset, size in waiting:
            with contextlib.suppress(OSError):
                self._send(unique, self.content[offset : offset + size])

    def _answer(self, opcode: int, unique: int, body: bytes) -> None:
        if opcode == _INIT:
            flags = _ASYNC_READ | _ASYNC_DIO
            self._send(unique, struct.pack("<IIIIHHIIHHII6I", 7, 31, 1 << 17, flags, 12, 9, 4096, 1, 32, *[0] * 9))
        elif opcode == _GETATTR:
            mode, size = stat.S_IFREG | 0o644, len(self.content)
            attributes = struct.pack("<6Q10I", 1, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
            self._send(unique, struct.pack("<QII", 3600, 0, 0) + attributes)
        elif opcode == _OPEN:
            self._send(unique, struct.pack("<QIi", 1, _DIRECT_IO if self.direct else 0, 0))
        elif opcode == _STATFS:
            self._send(unique, struct.pack("<5Q4I6I", *[0] * 5, 4096, 255, 4096, *[0] * 7))
        elif opcode == _READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            self._answer_read(unique, offset, size)
        elif opcode in (_RELEASE, _FSYNC):
            self._send(unique)
        elif opcode not in _NO_ANSWER:  # so the kernel never asks for a FLUSH again
            self._send(unique, error=-errno.ENOSYS)

    def _answer_read(self, unique: int, offset: int, size: int) -> None:
        how = self.answers.popleft() if self.answers else 0
        if how == NEVER:
            self._unanswered.append((unique, offset, size))
            self.waiting.set()
            return
        if isinstance(how, float):
            time.sleep(how)
        self.reads += 1
        if isinstance(how, int) and how < 0:
            self._send(unique, error=how)
            return
        content = self.content[offset : offset + ({HALF: size // 2, END: 0}.get(how, size))]
        self.answered_bytes += len(content)
        self._send(unique, content)

    def _send(self, unique: int, content: bytes = b"", error: int = 0) -> None:
        os.write(self._device, struct.pack("<IiQ", 16 + len(content), error, unique) + content)

    def open(self) -> None:
        """Mount it, open the file, and detach the mount."""
        libc = ctypes.CDLL(None, use_errno=True)
        with tempfile.NamedTemporaryFile(prefix="fuse-") as point:
            options = f"fd={self._device},rootmode=100644,user_id=0,group_id=0,max_read=131072".encode()
            place = point.name.encode()
            if libc.mount(b"fuse", place, b"fuse", ctypes.c_ulong(0), options):
                pytest.skip(f"a FUSE file system cannot be mounted here: {os.strerror(ctypes.get_errno())}")
            self._server.start()  # not before: who reads the device then gets EPERM
            try:
                self.descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
                # Asks for a FLUSH, once. subprocess closes it in a child while no other thread of ours can answer.
                os.close(os.dup(self.descriptor))
            finally:
                libc.umount2(place, _MNT_DETACH)

    def close(self) -> None:
        """Let the file system go; whoever still waits for an answer gets an error."""
        self.answer_all()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self._server.join(5)
        os.close(self._device)


def reader(file: FuseFile) -> list[str]:
    """Return a command that reads the first block of a file."""
    return ["dd", f"if=/proc/{os.getpid()}/fd/{file.descriptor}", "of=/dev/null", "bs=512", "count=1"]


@contextlib.contextmanager
def unanswered_file() -> Iterator[FuseFile]:
    """Serve a file whose first read is never answered: who reads it hangs in the kernel, and cannot be killed."""
    with fuse_file(bytes(4096)) as file:
        file.direct = True  # who waits for a page of the page cache can be killed
        file.answers.append(NEVER)
        yield file


@contextlib.contextmanager
def fuse_file(content: bytes) -> Iterator[FuseFile]:
    """Serve a file with this content; skip the test where there is no FUSE."""
    if os.geteuid() != 0:
        pytest.skip("not root, who alone may mount: run `sudo make test`")
    try:
        file = FuseFile(content)
    except OSError as error:
        pytest.skip(f"this kernel has no FUSE, or keeps it from us: {_DEVICE}: {error.strerror}")
    try:
        file.open()
        yield file
    finally:
        file.close()
