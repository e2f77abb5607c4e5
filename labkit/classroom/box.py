# SPDX-License-Identifier: Apache-2.0
"""A process for a learner's Python: no privileges, no network, nothing of the machine that it could write or signal.

It has a user id of its own, no capabilities, and namespaces of its own for processes, mounts, network, IPC and host
name (unshare(1), setpriv(1)). Every mount is read-only; the one folder that it may write is a tmpfs of 64 MiB. When the
box is closed, its process namespace ends, and with it whatever was forked in it.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from labkit.classroom.wire import Ended, LabEnd
from labkit.errors import Missing
from labkit.machine import ending
from labkit.machine.folders import repo_folder

__all__ = ["UNSHARE", "Box"]

_START_S = 60  # or as long as its cells may take, if that is longer: that follows from how slow the place is
_OWN_USERS = 0x60000000  # user ids from here on belong to nobody
_SCRIPT = r"""
set -eu
box=$1 tree=$2 prefix=$3 user=$4
shift 4
mount --make-rprivate /
while read -r _ place _; do
    mount -o remount,bind,ro "$place" 2>/dev/null || true
done </proc/self/mounts
mount -t tmpfs -o size=64m,nr_inodes=4k,mode=755 box "$box"
mkdir "$box/lab" "$box/python" "$box/own"
chown "$user" "$box/own"
mount --bind "$tree" "$box/lab"
mount --bind "$prefix" "$box/python"
mount -o remount,bind,ro "$box/lab"
mount -o remount,bind,ro "$box/python"
for place in /tmp /var/tmp /dev/shm /run/lock /dev/mqueue; do
    [ -d $place ] && mount -t tmpfs -o ro,size=4k none $place
done
mount -t proc -o nosuid,nodev,noexec proc /proc
cd "$box/own"
exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
    env -i PATH=/usr/bin:/bin HOME="$box/own" TMPDIR="$box/own" IPYTHONDIR="$box/own/ipython" LANG=C.UTF-8 \
    MPLBACKEND=agg MPLCONFIGDIR="$box/own" LABKIT_DATA="$box/own" LABKIT_CACHE="$box/own" PYTHONPATH="$box/lab" \
    PYTHONDONTWRITEBYTECODE=1 "$box/python/bin/python" -m labkit.classroom.learner "$@"
"""
# the program that follows gets namespaces of its own, and dies with unshare(1)
UNSHARE = ("unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child")


class Box:
    """A confined process that waits for a learner's cells; leaving it ends every process in it.

    Parameters
    ----------
    seconds : how long its cells may take altogether; its CPU time is bounded by twice that.

    Raises
    ------
    Missing : this process may not make namespaces, or unshare(1) or setpriv(1) is not installed.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def __enter__(self) -> Box:
        if os.geteuid() != 0:
            raise Missing(
                "Grading needs root: a learner's code is confined by namespaces.", "sudo .venv/bin/labkit grade"
            )
        self._folder = tempfile.TemporaryDirectory(prefix="labkit-box-", dir="/run")
        os.chmod(self._folder.name, 0o755)
        ours, theirs = socket.socketpair()
        user = _OWN_USERS + secrets.randbelow(1 << 20)
        words = ["setpriv", "--pdeathsig", "KILL", *UNSHARE, "sh", "-c", _SCRIPT, "box", self._folder.name]
        words += [str(repo_folder()), sys.prefix, str(user), str(theirs.fileno()), str(self._seconds)]
        errors = Path(self._folder.name) / "stderr"
        try:
            with errors.open("wb") as stderr:
                self._process = subprocess.Popen(
                    words,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    start_new_session=True,
                )
        except OSError as error:
            self._folder.cleanup()
            raise Missing(f"No confined process can be started: {error}.", "apt-get install util-linux") from None
        finally:
            theirs.close()
        self.end = LabEnd(ours)
        try:
            self.end.receive(time.monotonic() + max(_START_S, self._seconds))
        except Ended as error:
            said = errors.read_text(errors="replace")[-300:].strip()
            self.__exit__(None, None, None)
            what = f"A learner's code cannot be confined here: {said.splitlines()[-1] if said else error}."
            raise Missing(what, "run it as root outside of a container, or in one that is privileged") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        try:
            ending.wait_killed(self._process)
        finally:
            self._folder.cleanup()
