# SPDX-License-Identifier: Apache-2.0
"""Which file system holds a path, and on which device: from `/proc/self/mountinfo` (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labkit.machine import proc

__all__ = ["IN_MEMORY", "Mount", "mount_of", "mounts"]

IN_MEMORY = ("tmpfs", "ramfs")  # kinds whose page cache is all there is of them


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo."""

    number: int  # mnt_id, as /proc/self/fdinfo says it
    device_number: str  # "254:0"; "0:…" for a file system without a device
    root: Path  # which folder of the file system is mounted; "/" for all of it
    folder: Path  # where it is mounted
    kind: str  # "ext4", "tmpfs" …
    source: str  # "/dev/vda1", "tmpfs", "server:/export" …
    options: str = ""  # of this mount and of the file system: "rw,relatime,errors=remount-ro"

    @property
    def device(self) -> str:
        """The kernel's name of the block device, such as `vda1`, or an empty string."""
        number = self.device_number
        if number.startswith("0:") and self.source.startswith("/dev/"):  # btrfs has numbers of its own
            number = _device_number(self.source)
        link = Path("/sys/dev/block") / number
        return link.resolve().name if link.exists() else ""


def mounts() -> Iterator[Mount]:
    """Yield every mount that this process sees; a later one may cover an earlier one."""
    for line in proc.lines(Path("/proc/self/mountinfo")):
        # 36 35 254:0 /root /folder rw,noatime [optional fields] - ext4 /dev/vda rw
        left, _, right = line.partition(" - ")
        number, _parent, device_number, root, folder, options = [*left.split(" "), *[""] * 6][:6]
        if not number.isdecimal() or not right:
            continue
        kind, source, super_options = [*right.split(" "), ""][:3]
        yield Mount(
            number=int(number),
            device_number=device_number,
            root=Path(_unescape(root)),
            folder=Path(_unescape(folder)),
            kind=kind,
            source=_unescape(source),
            options=",".join(dict.fromkeys(f"{options},{super_options.strip()}".strip(",").split(","))),
        )


def mount_of(path: Path) -> Mount:
    """Return the mount that holds `path`.

    The kernel is asked by opening the path: comparing names goes wrong where one mount covers another.

    Raises
    ------
    OSError : the path cannot be opened, or its mount is outside what this process sees.
    """
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        told = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    finally:
        os.close(descriptor)
    number = int(re.search(r"^mnt_id:\s*(\d+)$", told, re.MULTILINE)[1])  # type: ignore[index]
    for mount in mounts():
        if mount.number == number:
            return mount
    raise FileNotFoundError(2, "its mount is not visible in /proc/self/mountinfo", str(path))


def _unescape(text: str) -> str:
    """Undo the octal escapes of blanks: '\\040' -> ' '."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _device_number(node: str) -> str:
    try:
        status = os.stat(node)
    except OSError:
        return ""
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}" if stat.S_ISBLK(status.st_mode) else ""
