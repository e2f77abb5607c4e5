# SPDX-License-Identifier: Apache-2.0
"""The block device below a path, as sysfs describes it (Documentation/ABI/stable/sysfs-block)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from labkit.machine.mounts import mount_of

__all__ = ["block_queue", "device_facts", "read_text", "sector_bytes"]

SMALLEST_SECTOR_BYTES = 512


def block_queue(path: Path) -> Path | None:
    """Return the sysfs folder of the request queue below a path; None where there is no single block device."""
    try:
        name = mount_of(path).device
        device = Path("/sys/class/block", name).resolve(strict=True) if name else None
    except OSError:
        return None
    if device is None:
        return None
    disk = device if (device / "queue").is_dir() else device.parent  # a partition has none of its own
    return disk / "queue" if (disk / "queue").is_dir() else None


def sector_bytes(path: Path) -> int:
    """Return the smallest size that O_DIRECT moves on the device below a path; 512 where it cannot be seen."""
    queue = block_queue(path)
    return int(read_text(queue / "logical_block_size") or SMALLEST_SECTOR_BYTES) if queue else SMALLEST_SECTOR_BYTES


def device_facts(path: Path | None) -> dict[str, Any]:
    """Return what matters of the block device below a path.

    Returns
    -------
    scheduler (the one in use), device_queue_depth (requests that the block layer keeps for it), logical_sector_bytes,
    physical_sector_bytes, rotational, write_cache. All of them empty or 0 where there is no block device, or no path.
    """
    queue = block_queue(path) if path else None
    if queue is None:
        return {
            "scheduler": "", "device_queue_depth": 0, "logical_sector_bytes": 0, "physical_sector_bytes": 0,
            "rotational": False, "write_cache": "",
        }  # fmt: skip
    chosen = re.search(r"\[(.+)\]", read_text(queue / "scheduler"))
    return {
        "scheduler": chosen[1] if chosen else read_text(queue / "scheduler"),
        "device_queue_depth": int(read_text(queue / "nr_requests") or 0),
        "logical_sector_bytes": int(read_text(queue / "logical_block_size") or 0),
        "physical_sector_bytes": int(read_text(queue / "physical_block_size") or 0),
        "rotational": read_text(queue / "rotational") == "1",
        "write_cache": read_text(queue / "write_cache"),
    }


def read_text(file: Path) -> str:
    """Return the text of a small file of sysfs or procfs; empty where it cannot be read."""
    try:
        return os.fsdecode(file.read_bytes()).strip()
    except OSError:
        return ""
