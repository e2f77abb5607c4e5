# SPDX-License-Identifier: Apache-2.0
"""Where cgroup v2 is mounted, and whether a child cgroup can be made there (cgroups(7)).

Never assume `/sys/fs/cgroup`: in the hybrid layout that is a tmpfs, and cgroup v2 is at `/sys/fs/cgroup/unified`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from labkit.errors import Missing
from labkit.machine import proc
from labkit.machine.mounts import Mount, mounts

__all__ = ["SCRATCH_PREFIX", "cgroup_mounts", "own_cgroup", "scratch_cgroup"]

SCRATCH_PREFIX = "labkit-scratch-"


def cgroup_mounts() -> list[Mount]:
    """Return where cgroup v2 is mounted, for this process to use.

    A container with a cgroup namespace of its own may be given the host's tree besides. The root of such a mount is
    outside the namespace ("/.."), and the kernel may refuse to move our processes there.
    """
    found = [mount for mount in mounts() if mount.kind == "cgroup2" and ".." not in mount.root.parts]
    return [mount for mount in found if (mount.folder / "cgroup.procs").exists()]  # not covered by another mount


def own_cgroup() -> Path:
    """Return the folder of the cgroup v2 that this process is in, or the mount's top where that does not show.

    Of several mounts, one that may be written.

    Raises
    ------
    Missing : cgroup v2 is not mounted.
    """
    folders = [_own_folder(mount) for mount in cgroup_mounts()]
    if folders:
        return next((folder for folder in folders if os.access(folder, os.W_OK)), folders[0])
    # next to the older version, cgroup v2 has a folder of its own; alone, it has the usual one
    folder = "/sys/fs/cgroup/unified" if any(mount.kind == "cgroup" for mount in mounts()) else "/sys/fs/cgroup"
    raise Missing(
        "cgroup v2 is not mounted: there is no place for the lab's own processes.",
        f"mkdir -p {folder} && mount -t cgroup2 none {folder}",
    )


def _own_folder(mount: Mount) -> Path:
    lines = proc.lines(Path("/proc/self/cgroup"))
    own = Path(next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/"))
    # A container may show only its part of the tree, and a process may be outside what is shown ("/../other").
    if ".." in own.parts or not own.is_relative_to(mount.root):
        return mount.folder
    folder = mount.folder / own.relative_to(mount.root)
    return folder if os.path.isdir(folder) else mount.folder


@contextlib.contextmanager
def scratch_cgroup() -> Iterator[Path]:
    """Make an empty child cgroup, to try something on, and remove it at the end.

    Raises
    ------
    Missing : cgroup v2 is not mounted.
    OSError : a child cannot be made; `filename` names the parent.
    """
    parent = own_cgroup()
    try:
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=parent))
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"making a child cgroup in {parent}") from None
    try:
        yield folder
    finally:
        folder.rmdir()
