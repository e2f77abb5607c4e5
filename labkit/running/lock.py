"""One measurement at a time: two at once would spoil each other. The second waits and says for whom."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from labkit.errors import Busy
from labkit.machine.folders import cache_folder
from labkit.running import sweep
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
    report, told = progress or silent, False
    with _lock_file().open("a+") as held:
        started = time.monotonic()
        while not _try(held.fileno()):
            held.seek(0)
            holder = held.read().strip() or "another measurement"
            if time.monotonic() - started > timeout_s:
                raise Busy(
                    f"Waited {timeout_s:g} s for {holder}.", "stop that measurement, or restart its notebook's kernel"
                )
            report(0.0, f"waiting for {holder}")
            if progress is None and not told and time.monotonic() - started > TELL_AFTER_S:
                warnings.warn(f"Waiting for {holder} to end: one measurement at a time.", stacklevel=4)
                told = True
            time.sleep(POLL_S)
        held.truncate(0)
        held.write(f"{purpose} (process {os.getpid()})")
        held.flush()
        sweep.sweep()
        try:
            yield report
            report(1.0, "done")
        finally:
            held.truncate(0)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_file() -> Path:
    """One file for the machine where we may write there, else one for the user."""
    folder = Path("/run") if os.access("/run", os.W_OK) else cache_folder()
    return folder / "labkit.lock"
