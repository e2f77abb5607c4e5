# SPDX-License-Identifier: Apache-2.0
"""Remove what a killed run of the lab left behind. Called at the start of every measurement."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from labkit.errors import Missing
from labkit.machine import proc
from labkit.machine.folders import build_folder, data_folder
from labkit.machine.lock_places import tracefs
from labkit.machine.pidns import own_pid_namespace
from labkit.running.cgroup import sweep_cgroups
from labkit.running.owned import left_behind, remove

# p:uprobes/p__lab_build_workloads_usdt_app_0x11f9_bcc_4711 /lab/build/workloads/usdt_app:0x00000000000011f9
_UPROBE = re.compile(r"[pr]\d*:(?P<event>\S+_bcc_(?P<pid>\d+)\S*) (?P<path>.*):0x[0-9a-f]+\b")


def sweep() -> list[Path]:
    """Remove leftover cgroups with their processes, run folders and uprobes; return what was removed.

    The cgroups go first: a server in one of them may still write to such a folder. Programs need no sweeping: each link
    is a file descriptor, so the kernel detached them when their process died.
    """
    cgroups, folders = sweep_cgroups(), []
    with contextlib.suppress(Missing, OSError):  # whoever needs the data folder will say what is wrong with it
        folders = left_behind(data_folder())
    for folder in folders:
        with contextlib.suppress(OSError):  # another process sweeps it too
            remove(folder)
    return cgroups + folders + _sweep_uprobes()


def _sweep_uprobes() -> list[Path]:
    """Remove from uprobe_events what BCC wrote there for a process that has died, in programs of this tree only.

    BCC writes there where the kernel has no perf event of type uprobe (before Linux 4.17), or refuses it. The kernel
    keeps a line that is in use (EBUSY). A line names a process id of its writer's namespace, and does not say which
    namespace that is: in a container with process ids of its own, every line stays.
    """
    folder, removed = tracefs(), []
    if folder is None or not own_pid_namespace().is_initial:
        return []
    with contextlib.suppress(OSError):
        for line in proc.lines(folder / "uprobe_events"):
            found = _UPROBE.match(line)
            if found is None or build_folder() not in Path(found["path"]).parents:
                continue
            if Path(f"/proc/{found['pid']}").exists():
                continue
            with contextlib.suppress(OSError):
                # as the kernel wants it: one line in one write, added to what is there
                descriptor = os.open(folder / "uprobe_events", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                try:
                    os.write(descriptor, f"-:{found['event']}\n".encode())
                finally:
                    os.close(descriptor)
                removed.append(folder / "events" / found["event"])
    return removed
