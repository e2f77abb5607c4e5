# SPDX-License-Identifier: Apache-2.0
"""One owner of all that this process holds: programs, readers, workloads, folders, cgroups, the measurement lock.

    self._held = owner.acquire("workload hello", self._launch, self._end)
    ...
    self._held.close()

A thing is registered before it is acquired, so an interrupt at any moment leaves it either released or still listed.
`exclusive()` closes what its measurement has left, in reverse, at its end and once more before the next one begins.
Outside of a measurement, in a `with` block of a learner's own, an interrupt on the first lines of `__exit__` would skip
it: while something is held, SIGINT is handled by `_Guard`, which lets `__exit__` come to its end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from labkit.machine.refusals import files_refused
from labkit.running.interrupts import note, uninterrupted

__all__ = ["Held", "acquire", "close_abandoned", "held_now"]

_HELD: list[Held] = []  # the newest last
os.register_at_fork(after_in_child=_HELD.clear)  # what the parent holds is the parent's


class Held:
    """One thing that is held, or is about to be. Closing it releases it, once.

    Parameters
    ----------
    what : names it for people.
    release : gives it up; also called when the thing was acquired in part, or not at all.
    by : the object whose `with` block holds it: `__enter__` acquires it, `__exit__` closes it.
    starts_a_measurement : all that this thread acquires later belongs to it.
    """

    def __init__(
        self, what: str, release: Callable[[], object], *, by: object = None, starts_a_measurement: bool = False
    ) -> None:
        self.what = what
        self.by = by
        self.starts_a_measurement = starts_a_measurement
        self._release = release
        self.thread = threading.current_thread()
        _HELD.append(self)

    def close(self) -> None:
        """Release it. Closing again does nothing."""
        try:
            with uninterrupted():
                if self in _HELD:
                    try:
                        self._release()
                    finally:
                        _HELD.remove(self)
        finally:
            _unguard()

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
    what: str,
    take: Callable[[], object],
    release: Callable[[], object],
    *,
    by: object = None,
    starts_a_measurement: bool = False,
) -> Held:
    """Register a thing, then acquire it with interrupts deferred; return what releases it.

    If `take` fails, or an interrupt came meanwhile, the thing is released before the exception goes on. Too many open
    files (EMFILE) are reported as `Missing`, with the limit.

    Parameters
    ----------
    take : acquires it. Short: an interrupt waits until it has returned.
    what, release, by, starts_a_measurement : as of `Held`.
    """
    _guard()
    held = Held(what, release, by=by, starts_a_measurement=starts_a_measurement)
    try:
        with uninterrupted():
            take()
        return held
    except BaseException as error:
        held.close()
        if isinstance(error, OSError) and error.errno == errno.EMFILE:
            raise files_refused(f"{what} was") from error
        raise


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


class _Guard:
    """Handles SIGINT while something is held: as `before` does, except where a `with` block is entered or left.

    Parameters
    ----------
    before : the handler that was there, Python's own or the learner's.
    """

    def __init__(self, before: Callable[[int, FrameType | None], object]) -> None:
        self.before = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        at: FrameType | None = frame
        while at is not None:
            held = _held_by(at)
            if held is not None and at.f_code.co_name == "__exit__":
                note(number, frame)  # until Held.close has released it
                return
            if held is not None:  # the block will not begin, and so will not end
                held.close()
            at = at.f_back
        _unguard()
        self.before(number, frame)


def _held_by(frame: FrameType) -> Held | None:
    """Return what is held by the object whose `__enter__` or `__exit__` runs in this frame."""
    if frame.f_code.co_name not in ("__enter__", "__exit__"):
        return None
    holder = frame.f_locals.get("self")
    return next((held for held in _HELD if held.by is holder is not None), None)


def _guard() -> None:
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or isinstance(before, _Guard) or before is note:
        return
    if callable(before):
        signal.signal(signal.SIGINT, _Guard(before))


def _unguard() -> None:
    guard = signal.getsignal(signal.SIGINT)
    if not _HELD and isinstance(guard, _Guard) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, guard.before)
