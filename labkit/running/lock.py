"""One measurement at a time: two at once would spoil each other. The second waits and says for whom."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from labkit.errors import Busy
from labkit.machine.folders import cache_folder
from labkit.running import owner, sweep
from labkit.running.interrupts import uninterrupted
from labkit.running.progress import Progress, silent

POLL_S = 0.1
TELL_AFTER_S = 1.0


@contextlib.contextmanager
def exclusive(purpose: str, progress: Progress | None = None, *, timeout_s: float = 600.0) -> Iterator[Progress]:
    """Hold the machine for one measurement (flock(2), so a killed process lets go by itself).

    Yields the progress to report to: `progress`, or one that reports nothing. Leaving the block reports that all is
    done.

    Parameters
    ----------
    purpose : what is measured, told to whoever waits.
    progress : called while waiting, with whom it waits for; without it a warning says so once, after a second.
    timeout_s : how long to wait, in seconds.

    Raises
    ------
    Busy : the other measurement did not end in time.
    """
    owner.close_abandoned()
    lock = _Lock(_lock_file())
    held = owner.acquire("the measurement lock", lock.open, lock.close, starts_a_measurement=True)
    report = progress or silent
    try:
        lock.wait(report, timeout_s, warn=progress is None)
        lock.write(f"{purpose} (process {os.getpid()})")
        sweep.sweep()
        yield report
        report(1.0, "done")
    finally:
        try:
            held.close_with_newer()
        except KeyboardInterrupt:  # perhaps on its first line
            held.close_with_newer()
            raise


class _Lock:
    """A file that one measurement holds at a time (flock(2)), with the holder's name in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._is_ours = False

    def open(self) -> None:
        self._file = self._path.open("a+")

    def wait(self, report: Progress, timeout_s: float, *, warn: bool) -> None:
        """Wait until nobody else holds it, and say for whom."""
        started = time.monotonic()
        while not self._try():
            holder, waited_s = self._holder(), time.monotonic() - started
            if waited_s > timeout_s:
                raise Busy(
                    f"Waited {timeout_s:g} s for {holder}.", "stop that measurement, or restart its notebook's kernel"
                )
            report(0.0, f"waiting for {holder}")
            if warn and waited_s > TELL_AFTER_S:
                warnings.warn(f"Waiting for {holder} to end: one measurement at a time.", stacklevel=5)
                warn = False
            time.sleep(POLL_S)

    def write(self, holder: str) -> None:
        """Replace what the file says of its holder."""
        assert self._file is not None
        self._file.truncate(0)
        self._file.write(holder)
        self._file.flush()

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with file:
                if self._is_ours:
                    file.truncate(0)

    @uninterrupted()
    def _try(self) -> bool:
        assert self._file is not None
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._is_ours = True
        return self._is_ours

    def _holder(self) -> str:
        assert self._file is not None
        self._file.seek(0)
        return self._file.read().strip() or "another measurement"


def _lock_file() -> Path:
    """One file for the machine where we may write there, else one for the user."""
    folder = Path("/run") if os.access("/run", os.W_OK) else cache_folder()
    return folder / "labkit.lock"
