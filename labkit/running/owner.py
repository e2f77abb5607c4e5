# SPDX-License-Identifier: Apache-2.0
"""One owner of all that this process holds: programs, readers, workloads, folders, cgroups, the measurement lock.

    self._held = owner.acquire("workload hello", self._launch, self._end)
    ...
    self._held.close()

A thing is registered before it is acquired, so an interrupt at any moment leaves it either released or still listed.
`exclusive()` closes what its measurement has left, in reverse, at its end and once more before the next one begins.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable

from labkit.machine.refusals import files_refused
from labkit.running.interrupts import uninterrupted

__all__ = ["Held", "acquire", "close_abandoned", "held_now"]

_HELD: list[Held] = []  # the newest last
os.register_at_fork(after_in_child=_HELD.clear)  # what the parent holds is the parent's


class Held:
    """One thing that is held, or is about to be. Closing it releases it, once.

    Parameters
    ----------
    what : names it for people.
    release : gives it up; also called when the thing was acquired in part, or not at all.
    starts_a_measurement : all that this thread acquires later belongs to it.
    """

    def __init__(self, what: str, release: Callable[[], object], *, starts_a_measurement: bool = False) -> None:
        self.what = what
        self.starts_a_measurement = starts_a_measurement
        self._release = release
        self.thread = threading.current_thread()
        _HELD.append(self)

    @uninterrupted()
    def close(self) -> None:
        """Release it. Closing again does nothing."""
        if self in _HELD:
            try:
                self._release()
            finally:
                _HELD.remove(self)

    @uninterrupted()
    def close_with_newer(self) -> None:
        """Release all that the same thread has acquired since, the newest first, and then this.

        Each is released even where another one's release fails; the first failure is raised at the end.
        """
        if self in _HELD:
            with contextlib.ExitStack() as later:
                for held in _HELD[_HELD.index(self) :]:
                    if held.thread is self.thread:
                        later.callback(held.close)

    def is_abandoned(self) -> bool:
        """Return whether its thread has ended, or is the one that asks, and so has left the block that held it."""
        return self.thread is threading.current_thread() or not self.thread.is_alive()


def acquire(
    what: str, take: Callable[[], object], release: Callable[[], object], *, starts_a_measurement: bool = False
) -> Held:
    """Register a thing, then acquire it with interrupts deferred; return what releases it.

    If `take` fails, or an interrupt came meanwhile, the thing is released before the exception goes on. Too many open
    files (EMFILE) are told as `Missing`, with the limit.

    Parameters
    ----------
    take : acquires it. Short: an interrupt waits until it has returned.
    what, release, starts_a_measurement : as of `Held`.
    """
    held = Held(what, release, starts_a_measurement=starts_a_measurement)
    try:
        with uninterrupted():
            take()
    except BaseException as error:
        held.close()
        if isinstance(error, OSError) and error.errno == errno.EMFILE:
            raise files_refused(f"{what} was") from error
        raise
    return held


def close_abandoned() -> list[str]:
    """Release what an interrupted measurement has left; return the names of the things.

    To be called where this thread begins a measurement, and so is in no other one.
    """
    left = []
    for held in reversed(_HELD[:]):
        if held.starts_a_measurement and held.is_abandoned():
            left += [each.what for each in _HELD[_HELD.index(held) :] if each.thread is held.thread]
            held.close_with_newer()
    return left


def held_now() -> list[str]:
    """Return the names of all things that this process holds, the oldest first."""
    return [held.what for held in _HELD]
