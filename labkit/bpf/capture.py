# SPDX-License-Identifier: Apache-2.0
"""Catch what C and C++ libraries print: clang and BCC report on descriptors 1 and 2, and nowhere else."""

from __future__ import annotations

import contextlib
import ctypes as ct
import os
import tempfile
import threading
from collections.abc import Iterator

__all__ = ["Said", "captured"]

# Descriptors 1 and 2 belong to all threads: who catches what is printed there holds this meanwhile.
_ONE_AT_A_TIME = threading.RLock()


class Said:
    """What was written on descriptor 2."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()

    def fileno(self) -> int:
        return self._file.fileno()

    def text(self) -> str:
        self._file.seek(0)
        return self._file.read().decode(errors="replace")


@contextlib.contextmanager
def captured() -> Iterator[Said]:
    """Catch what is printed on descriptors 1 and 2 during the block; what comes on 2 can be read afterwards."""
    flush = ct.CDLL(None).fflush
    with _ONE_AT_A_TIME, tempfile.TemporaryFile() as aside:
        said = Said()
        flush(None)
        saved = [(1, os.dup(1)), (2, os.dup(2))]
        os.dup2(aside.fileno(), 1)
        os.dup2(said.fileno(), 2)
        try:
            yield said
        finally:
            flush(None)
            for descriptor, copy in saved:
                os.dup2(copy, descriptor)
                os.close(copy)
