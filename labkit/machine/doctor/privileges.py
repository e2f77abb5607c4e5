# SPDX-License-Identifier: Apache-2.0
"""What this process may do, and who forbids the rest."""

from __future__ import annotations

import os
import re
from pathlib import Path

from labkit.machine import proc

__all__ = [
    "CONTAINER",
    "NEEDED",
    "SUDO",
    "WANTED",
    "effective",
    "initial_user_namespace",
    "lacking",
    "seccomp_filtered",
    "why_refused",
]

# include/uapi/linux/capability.h; the numbers are the same on every architecture
NEEDED = {"CAP_BPF": 39, "CAP_PERFMON": 38, "CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
WANTED = {"CAP_DAC_OVERRIDE": 1, "CAP_SYS_RESOURCE": 24, "CAP_IPC_LOCK": 14, "CAP_SYS_PTRACE": 19}

SUDO = "sudo make lab  # loading BPF programs needs root"
CONTAINER = "make container  # or start your own container with --privileged"


def effective() -> set[str]:
    """Return the names of the capabilities above that this process has (capabilities(7))."""
    mask = int(_status("CapEff"), 16)
    return {name for name, bit in {**NEEDED, **WANTED}.items() if mask >> bit & 1}


def seccomp_filtered() -> bool:
    """Return True when a seccomp filter decides on this process's system calls, as in most containers."""
    return _status("Seccomp") == "2"


def lacking() -> list[str]:
    """Return the needed capabilities that this process has not.

    CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON (bpf_capable and perfmon_capable in include/linux/capability.h).
    """
    have = effective()
    if "CAP_SYS_ADMIN" in have:
        have |= {"CAP_BPF", "CAP_PERFMON"}
    return [name for name in NEEDED if name not in have]


def why_refused() -> tuple[str, str]:
    """Return the likeliest cause of an EPERM, and the command that fixes it."""
    if os.geteuid() != 0 and lacking():
        return "not root", SUDO
    if lacking():
        return f"root, but without {', '.join(lacking())}", CONTAINER
    if not initial_user_namespace():
        return "root only of a user namespace, as in a rootless container", CONTAINER
    if seccomp_filtered():
        return "by a seccomp filter, as containers have", CONTAINER
    if less := [name for name in WANTED if name not in effective()]:
        return f"by the kernel; this process is without {', '.join(less)}", CONTAINER
    return "by the kernel, although this process has every privilege", "dmesg | tail  # the kernel may say why"


def initial_user_namespace() -> bool:
    """Return True unless this process is in a user namespace of its own, where root is not the machine's root."""
    return Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]


def _status(field: str) -> str:
    found = re.search(rf"^{field}:\s*(\S+)$", proc.text(Path("/proc/self/status")), re.MULTILINE)
    return found[1] if found else "0"
