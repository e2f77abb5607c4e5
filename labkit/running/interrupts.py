# SPDX-License-Identifier: Apache-2.0
"""Let what must not be left half done come to its end before an interrupt takes effect.

Python raises KeyboardInterrupt between any two instructions of the main thread: also after the kernel has attached a
program and before anybody has noted it, or between the first and the second program to detach.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

__all__ = ["exits_on_sigterm", "note", "uninterrupted"]

_NOTED: list[int] = []


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Note an interrupt (SIGINT) that comes within the block, and let it take effect at its end.

    Only the main thread is ever interrupted; in others this does nothing. It does nothing either if the handler is not
    Python's, because it could not be put back. As a decorator, `@uninterrupted()`, it covers the whole function.
    What `note` was called for takes effect at the end of the block, too.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if _NOTED:
            _NOTED.clear()
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def exits_on_sigterm() -> Iterator[None]:
    """Let SIGTERM leave the block by SystemExit, so that what it has started is ended; the handler is put back."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def note(number: int, _: object) -> None:
    """Handle a signal by letting it wait for the end of the next `uninterrupted` block."""
    _NOTED.append(number)
