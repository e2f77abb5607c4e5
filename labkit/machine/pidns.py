# SPDX-License-Identifier: Apache-2.0
"""The pid namespace this process lives in: a BPF program must be told it to recognise a process in a container."""

from __future__ import annotations

import os
from dataclasses import dataclass

# PROC_PID_INIT_INO in include/linux/proc_ns.h: the machine's own pid namespace has this inode since Linux 3.8
INITIAL_INODE = 0xEFFFFFFC


@dataclass(frozen=True)
class PidNamespace:
    """Device and inode of `/proc/self/ns/pid`, as `bpf_get_ns_current_pid_tgid` takes them."""

    device: int
    inode: int

    @property
    def is_initial(self) -> bool:
        """True on the machine itself, or in a container that shares its process ids."""
        return self.inode == INITIAL_INODE


def own_pid_namespace() -> PidNamespace:
    """Return the pid namespace of this process (pid_namespaces(7))."""
    status = os.stat("/proc/self/ns/pid")
    return PidNamespace(device=status.st_dev, inode=status.st_ino)
