# SPDX-License-Identifier: Apache-2.0
"""A cgroup of the lab's own, so that what is attached to it touches nobody else's processes.

    with Cgroup() as cgroup:
        with Workload("ping_pong") as run:
            cgroup.add(run.pid)            # between "ready" and "go": sockets belong to the cgroup they are made in
            run.go()
        subprocess.Popen(cgroup.command(["redis-server"]))

Rests on cgroup v2 (Documentation/admin-guide/cgroup-v2.rst): a folder is a cgroup, `cgroup.procs` lists its processes,
writing a process id there moves it in, `cgroup.kill` ends all (Linux 5.14), `cgroup.events` tells when it is empty.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import select
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from labkit.errors import BadArgument, LabkitError, Missing
from labkit.machine.cgroups import SCRATCH_PREFIX, cgroup_mounts, own_cgroup
from labkit.running import owner
from labkit.running.interrupts import uninterrupted
from labkit.running.owned import PREFIX, RANDOM

__all__ = ["Cgroup", "lab_parent", "sweep_cgroups"]

EMPTYING_S = 5.0
_SCRATCH_S = 60.0  # the doctor removes its own a moment later
_NAME = re.compile(f"({PREFIX}|{SCRATCH_PREFIX}){RANDOM}")  # and not that of a service called labkit-something


class Cgroup:
    """A child cgroup that exists inside the `with` block.

    It is made below this process's own cgroup, so that the limits of a container or a session go on holding. Leaving
    the block ends every process in it and removes it. This process, if it was added, is moved back instead.

    Raises
    ------
    Missing : no cgroup v2 is mounted, or it may not be written.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._descriptor = -1
        self._held: owner.Held | None = None

    def __enter__(self) -> Cgroup:
        sweep_cgroups()
        self._held = owner.acquire("a cgroup", self._make, self._release, by=self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._held is not None:
            self._held.close()

    def _make(self) -> None:
        parent = lab_parent()
        try:
            self._folder, self._descriptor = _make(parent)
        except OSError:
            raise _not_writable(parent) from None

    def _release(self) -> None:
        if self._folder is None:
            return
        folder, self._folder = self._folder, None
        try:
            _remove(folder)
        finally:
            os.close(self._descriptor)

    @property
    def path(self) -> Path:
        """Its folder."""
        if self._folder is None:
            raise LabkitError("The cgroup does not exist now.", "use it inside its `with` block")
        return self._folder

    def add(self, pid: int) -> None:
        """Move a process in. Children that it makes from then on are born there; those it already has stay outside.

        Raises
        ------
        BadArgument : there is no such process.
        """
        try:
            _procs(self.path).write_text(str(pid))
        except ProcessLookupError:
            raise BadArgument(f"pid={pid!r} is not a running process.", "pass the id of a process that runs") from None
        except OSError as cause:
            raise LabkitError(
                f"Process {pid} could not be moved to {self.path}: {cause.strerror}.",
                "run as root, in a privileged container",
            ) from None

    def command(self, arguments: Sequence[str | Path]) -> list[str]:
        """Return the command that runs `arguments` inside the cgroup from the first instruction on."""
        enter = 'echo $$ > "$0" && exec "$@"'
        return ["sh", "-c", enter, str(_procs(self.path)), *map(str, arguments)]


def lab_parent() -> Path:
    """Return the cgroup v2 folder of this process, below which the lab makes its own.

    Raises
    ------
    Missing : no cgroup v2 is mounted, or it may not be written.
    """
    parent = own_cgroup()
    if not os.access(parent, os.W_OK):  # false too on a read-only mount
        raise _not_writable(parent)
    return parent


def sweep_cgroups() -> list[Path]:
    """Remove the cgroups that killed runs of the lab left behind, with the processes in them; return them."""
    # os.walk, since a glob fails where another process removes a cgroup meanwhile
    found = [
        Path(parent, name)
        for mount in cgroup_mounts()
        for parent, names, _ in os.walk(mount.folder)
        for name in names
        if _NAME.fullmatch(name)
    ]
    return [folder for folder in found if _sweep(folder)]


# -- whose it is --------------------------------------------------------------------------------------
# The maker holds flock(2) on the folder, as labkit/running/owned.py does; but a cgroup cannot be renamed.


def _make(parent: Path) -> tuple[Path, int]:
    """Make a cgroup and hold it; return its folder and the descriptor that holds it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with contextlib.suppress(FileNotFoundError):  # sweep_cgroups() of another process was quicker than we
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_EX)
            if folder.is_dir():  # or than our flock
                return folder, held
            os.close(held)


@uninterrupted()
def _sweep(folder: Path) -> bool:
    """Remove a cgroup that nobody holds; tell whether it was removed."""
    with contextlib.suppress(OSError, LabkitError):
        if folder.name.startswith(SCRATCH_PREFIX) and time.time() - folder.stat().st_mtime < _SCRATCH_S:
            return False
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)
            return True
        finally:
            os.close(held)
    return False


# -- the end of a cgroup ------------------------------------------------------------------------------


def _procs(folder: Path) -> Path:
    return folder / "cgroup.procs"


def _pids(folder: Path) -> list[int]:
    # 0 stands for a process of another pid namespace
    return [pid for pid in map(int, _procs(folder).read_text().split()) if pid > 0]


def _remove(folder: Path) -> None:
    """Move this process out, end the others, wait until the kernel has let go, and remove the folder."""
    deadline = time.monotonic() + EMPTYING_S
    if os.getpid() in _pids(folder):
        _procs(folder.parent).write_text(str(os.getpid()))
    _kill(folder)
    with (folder / "cgroup.events").open() as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while "populated 1" in events.read() and time.monotonic() < deadline:
            poll.poll(100)  # woken when the last process is gone
            _kill(folder)  # again, for what was forked meanwhile
            events.seek(0)
    while True:
        try:
            return folder.rmdir()
        except FileNotFoundError:
            return None
        except OSError as cause:
            if cause.errno != errno.EBUSY or time.monotonic() > deadline:
                raise LabkitError(f"{folder} could not be removed: {cause.strerror}.", f"rmdir {folder}") from None
        time.sleep(0.01)


def _kill(folder: Path) -> None:
    try:
        (folder / "cgroup.kill").write_text("1")
    except OSError:  # before Linux 5.14
        for pid in _pids(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _not_writable(folder: Path) -> Missing:
    return Missing(
        f"The cgroup {folder} may not be written: a read-only mount, not root, or root without CAP_DAC_OVERRIDE.",
        f"run as root (in a container: --privileged), or: mount -o remount,rw {folder}",
    )
