# SPDX-License-Identifier: Apache-2.0
"""One measurement at a time on a kernel: two at once would spoil each other. The second waits and says for whom.

Two locks (flock(2), so a killed process lets go by itself). One is a file that says who holds it, for the labs that see
the same /run. The other is the root folder of tracefs: a kernel has only one tracefs, wherever and however often it is
mounted (`get_tree_single` in fs/tracefs/inode.c), so labs in different containers meet there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from labkit.errors import Busy, Missing
from labkit.machine import lock_places, refusals
from labkit.machine.folders import open_own
from labkit.machine.provenance import note_pressure
from labkit.running import holder, owner, sweep
from labkit.running.interrupts import uninterrupted
from labkit.running.progress import Progress, silent

__all__ = ["Waiting", "exclusive"]

POLL_S = 0.1
WARN_AFTER_S = 1.0
NOTE_EVERY_S = 2.0  # how often the note says how far the measurement is
_NOTE_BYTES = 4000  # a symbolic link holds one page


class Waiting(UserWarning):
    """Another measurement is running, and this one waits for it: nothing is wrong."""


@contextlib.contextmanager
def exclusive(purpose: str, progress: Progress | None = None, *, timeout_s: float = 600.0) -> Iterator[Progress]:
    """Hold the machine for one measurement.

    Yields the progress to report to: `progress`, or one that reports nothing. Leaving the block releases whatever the
    measurement still holds, and reports that all is done.

    Parameters
    ----------
    purpose : what is measured, shown to whoever waits.
    progress : called while waiting, with whom it waits for; without it a warning says so once, after a second.
    timeout_s : how long to wait, in seconds.

    Raises
    ------
    Busy : the other measurement did not end in time.
    Missing : the lock cannot be used: its file is somebody else's, or flock(2) is refused; or another system call was
        refused in the block.
    """
    owner.close_abandoned()
    lock = _Lock()
    held = owner.acquire("the measurement lock", lock.open, lock.close, starts_a_measurement=True)
    report = progress or silent
    try:
        lock.wait(report, timeout_s, warn=progress is None)
        lock.sign(purpose)
        sweep.sweep()
        note_pressure()

        def tell(share: float, note: str) -> None:
            report(share, note)
            lock.note_share(share)

        yield tell
        report(1.0, "done")
    except (OSError, RuntimeError) as error:
        if refused := refusals.refused_meanwhile(purpose, error):
            raise refused from error
        raise
    finally:
        try:
            held.close_with_newer()
        except KeyboardInterrupt:  # perhaps on its first line
            held.close_with_newer()
            raise


class _Lock:
    """What one measurement holds at a time: a file with a note on its holder, and tracefs where it is mounted."""

    def __init__(self) -> None:
        self._file = lock_places.file()
        self._descriptors: list[int] = []
        self._taken = 0  # this many of the first descriptors are locked
        self._purpose, self._since_s, self._noted_s = "", 0.0, 0.0
        self._notes: list[_FileNote | _LinkNote] = [_FileNote(self._file), _LinkNote(lock_places.note())]

    def open(self) -> None:
        try:
            self._descriptors.append(open_own(self._file, os.O_RDWR | os.O_CREAT))
        except OSError as cause:
            raise Missing(
                f"The lock file {self._file} cannot be used: {cause.strerror}.", f"remove it: rm {self._file}"
            ) from cause
        folder = lock_places.kernel_wide()
        if folder is not None:
            self._descriptors.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def wait(self, report: Progress, timeout_s: float, *, warn: bool) -> None:
        """Wait until nobody else holds it, and say for whom."""
        started_s = time.monotonic()
        while not self._try():
            other, waited_s = self._holder(), time.monotonic() - started_s
            if waited_s > timeout_s:
                raise Busy(
                    f"Waited {timeout_s:g} s for {other}.", "stop that measurement, or restart its notebook's kernel"
                )
            report(0.0, f"waiting for {other}")
            if warn and waited_s > WARN_AFTER_S:
                warnings.warn(f"Waiting for {other} to end: one measurement at a time.", Waiting, stacklevel=5)
                warn = False
            time.sleep(POLL_S)

    def sign(self, purpose: str) -> None:
        """Leave a note for those who wait."""
        self._purpose, self._since_s = purpose, time.clock_gettime(time.CLOCK_BOOTTIME)
        self._write(0.0)

    def note_share(self, share: float) -> None:
        """Let the note say how far the measurement is, now and then."""
        if time.monotonic() - self._noted_s >= NOTE_EVERY_S:
            self._write(share)

    def _write(self, share: float) -> None:
        self._noted_s = time.monotonic()
        for place in self._notes:
            place.write(holder.record(self._purpose, share, since_s=self._since_s))

    def close(self) -> None:
        descriptors, self._descriptors = self._descriptors, []
        try:
            if descriptors and self._taken == len(descriptors):
                for place in self._notes:
                    place.write("")
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    @uninterrupted()
    def _try(self) -> bool:
        for descriptor in self._descriptors[self._taken :]:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError as cause:
                raise Missing(
                    f"This process may not lock files: flock(2) says {cause.strerror}.",
                    "allow flock in the container's seccomp filter, or start it with --privileged",
                ) from cause
            self._taken += 1
            if self._taken == 1:
                self._notes[0].write("")  # perhaps of a process that was killed
        return True

    def _holder(self) -> str:
        """Say in words who holds it."""
        return holder.describe(next((text for place in self._notes[self._taken :] if (text := place.read())), ""))


class _FileNote:
    """The note in the lock file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @uninterrupted()  # a descriptor that no file object has yet would be left
    def write(self, text: str) -> None:
        with contextlib.suppress(OSError), open(open_own(self._path, os.O_WRONLY | os.O_TRUNC), "w") as file:
            file.write(text)

    @uninterrupted()
    def read(self) -> str:
        with contextlib.suppress(OSError), open(open_own(self._path), errors="replace") as file:
            return file.read(_NOTE_BYTES)
        return ""


class _LinkNote:
    """The note as the target of a symbolic link: a BPF file system takes links, and no files."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def write(self, text: str) -> None:
        if self._path is not None:
            new = self._path.with_name(f"{self._path.name}-new")  # that file system takes no dots
            for path in (new, *(() if text else (self._path,))):
                with contextlib.suppress(OSError):
                    path.unlink()  # perhaps of a process that was killed
            with contextlib.suppress(OSError):
                if text:
                    new.symlink_to(text)
                    new.rename(self._path)  # whoever waits finds the old one or the new one

    def read(self) -> str:
        with contextlib.suppress(OSError):
            return os.readlink(self._path) if self._path is not None else ""
        return ""
