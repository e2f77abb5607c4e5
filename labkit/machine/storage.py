# SPDX-License-Identifier: Apache-2.0
"""The block device below a path, as sysfs describes it (Documentation/ABI/stable/sysfs-block)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from labkit.machine import proc
from labkit.machine.mounts import Mount, mount_of

__all__ = ["block_queue", "device_facts", "mount_below", "sector_bytes"]

SMALLEST_SECTOR_BYTES = 512


def mount_below(path: Path) -> Mount | None:
    """Return the mount that holds a path; None where it cannot be found out."""
    try:
        return mount_of(path)
    except OSError:
        return None


def block_queue(mount: Mount | None) -> Path | None:
    """Return the sysfs folder of a mount's request queue; None where there is no single block device."""
    if mount is None or not mount.device:
        return None
    try:
        device = Path("/sys/class/block", mount.device).resolve(strict=True)
    except OSError:
        return None
    disk = device if (device / "queue").is_dir() else device.parent  # a partition has none of its own
    return disk / "queue" if (disk / "queue").is_dir() else None


def sector_bytes(path: Path) -> int:
    """Return the smallest size that O_DIRECT moves on the device below a path; 512 where it cannot be seen."""
    queue = block_queue(mount_below(path))
    return _number(queue, "logical_block_size") or SMALLEST_SECTOR_BYTES


def device_facts(mount: Mount | None) -> dict[str, Any]:
    """Return what matters of the block device below a mount.

    Returns
    -------
    scheduler (the one in use), device_queue_depth (requests that the block layer keeps for it), logical_sector_bytes,
    physical_sector_bytes, rotational, write_cache. All of them empty or 0 where there is no block device, or no mount.
    """
    queue = block_queue(mount)
    schedulers = _text(queue, "scheduler")
    chosen = re.search(r"\[(.+)\]", schedulers)
    return {
        "scheduler": chosen[1] if chosen else schedulers,
        "device_queue_depth": _number(queue, "nr_requests"),
        "logical_sector_bytes": _number(queue, "logical_block_size"),
        "physical_sector_bytes": _number(queue, "physical_block_size"),
        "rotational": _text(queue, "rotational") == "1",
        "write_cache": _text(queue, "write_cache"),
    }


def _text(queue: Path | None, name: str) -> str:
    return proc.text_or_empty(queue / name) if queue else ""


def _number(queue: Path | None, name: str) -> int:
    text = _text(queue, name)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
