# SPDX-License-Identifier: Apache-2.0
"""Where the measurement lock is: a file, tracefs for all containers of a kernel, and a note in the BPF file system."""

from __future__ import annotations

import os
from pathlib import Path

from labkit.machine.folders import cache_folder
from labkit.machine.mounts import mounts

__all__ = ["file", "kernel_wide", "note", "tracefs", "warnings"]

_BPFFS = Path("/sys/fs/bpf")


def _chosen() -> str:
    """Return `LABKIT_LOCK`: a lock file of one's own, for tests of which several may run at once."""
    return os.environ.get("LABKIT_LOCK", "")


def file() -> Path:
    """Return the lock file: one for the machine where /run can be written, else one for the user."""
    if _chosen():
        return Path(_chosen())
    return (Path("/run") if os.access("/run", os.W_OK) else cache_folder()) / "labkit.lock"


def tracefs() -> Path | None:
    """Return a folder at which tracefs is mounted and which this process may open, or None."""
    found = (mount.folder for mount in mounts() if mount.kind == "tracefs" and mount.root == Path("/"))
    return next((folder for folder in found if os.access(folder, os.R_OK)), None)


def kernel_wide() -> Path | None:
    """Return the folder that labs in all containers of a kernel lock: tracefs, of which a kernel has only one."""
    return None if _chosen() else tracefs()


def note() -> Path | None:
    """Return where a note can be left for labs in other containers, or None."""
    is_there = any(mount.kind == "bpf" and mount.folder == _BPFFS for mount in mounts())
    return _BPFFS / "labkit-holder" if is_there and not _chosen() else None


def warnings() -> list[str]:
    """Return a warning for the frame where a lab in another container could measure at the same time."""
    if _chosen() or tracefs() is not None:
        return []
    return [
        "No lock is shared with other containers, since tracefs is not mounted here: a lab in another one may have "
        "measured at the same time. Fix: mount -t tracefs tracefs /sys/kernel/tracing"
    ]
