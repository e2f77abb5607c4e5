# SPDX-License-Identifier: Apache-2.0
"""Does the workload `io_engines` do what it is asked for? What witnesses outside of its loop say about one run.

The witnesses are the kernel's count of the bytes that this process moved to and from devices (/proc/PID/io,
`Documentation/filesystems/proc.rst`), what was in the page cache before the run (mincore(2)), and Little's law.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from labkit.lessons._io.job import Job

__all__ = ["DEPTH_SHARE", "DEVICE_SHARE", "doubts"]

DEVICE_SHARE = 0.9  # of the bytes moved must have come from the device, or gone there
DEPTH_SHARE = 0.8  # of the queue depth must have been in flight on average
ROUNDS = 20  # with fewer I/Os per place, filling and emptying the queue lowers the average


def doubts(job: Job, told: Mapping[str, Any]) -> list[str]:
    """Return one warning for each claim of a job that a witness does not confirm.

    Parameters
    ----------
    job : what was asked for.
    told : the JSON line of the workload, with `bytes`, `device_read_bytes`, `device_write_bytes`, `resident_pages`,
        `file_bytes`, `file_bytes_wanted`, `in_flight` and `ios`. A key that the kernel could not fill is absent.
    """
    checks = (_device(job, told), _page(job), _warm(job, told), _depth(job, told), _file(job, told), _early(job, told))
    return [warning for warning in checks if warning]


def _device(job: Job, told: Mapping[str, Any]) -> str:
    """Direct I/O and reads of a cold file use the device. Buffered writes are counted when a page becomes dirty."""
    if job.cache == "warm" or (job.operation == "write" and job.cache != "direct"):
        return ""
    moved, device = told["bytes"], told.get(f"device_{job.operation}_bytes")
    if device is None or not moved or device >= DEVICE_SHARE * moved:
        return ""
    way = "came from a device" if job.operation == "read" else "went to a device"
    return (
        f"{job.engine}, {job.cache}: only {100 * device / moved:.0f} % of the bytes {way}. The file system "
        f"({told['filesystem']}) keeps them in memory, or the kernel does not count what it moves. These are not the "
        "numbers of a disk."
    )


def _page(job: Job) -> str:
    """Only whole pages come into the page cache: what shares one with an earlier block is no longer cold."""
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    if job.cache != "cold" or job.operation != "read" or job.block_bytes >= page_bytes:
        return ""
    return (
        f"{job.engine}, cold, {job.block_bytes} bytes: a page of this kernel has {page_bytes} bytes. The first read of "
        "a page brings all of it into the page cache, and the other blocks of the page are warm. Choose a block size "
        f"of at least {page_bytes}."
    )


def _warm(job: Job, told: Mapping[str, Any]) -> str:
    pages = -(-told["file_bytes"] // os.sysconf("SC_PAGE_SIZE"))
    resident = told.get("resident_pages")
    if job.cache != "warm" or resident is None or resident >= pages:
        return ""
    return (
        f"{job.engine}, warm: only {resident} of {pages} pages of the file were in the page cache before the run. Free "
        "some memory, or use a smaller file_bytes."
    )


def _depth(job: Job, told: Mapping[str, Any]) -> str:
    reached = told.get("in_flight")
    if job.queue_depth == 1 or job.rate or job.durable == "every" or reached is None:
        return ""
    if reached >= DEPTH_SHARE * job.queue_depth or told["ios"] < ROUNDS * job.queue_depth:
        return ""
    return (
        f"{job.engine}, {job.cache}, {job.block_bytes} bytes: only {reached:.1f} of {job.queue_depth} I/Os were in "
        "flight on average, so this is not the result of that depth."
    )


def _early(job: Job, told: Mapping[str, Any]) -> str:
    """An I/O that ended early, as on FUSE, NFS or 9p, is continued and stays one I/O."""
    repeats = told.get("repeats", 0)
    if not repeats:
        return ""
    return (
        f"{job.engine}, {job.cache}: {repeats} of {told['ios'] + repeats} {job.operation}s ended early (a part of the "
        "bytes, or EINTR or EAGAIN), and were continued. The latency of such an I/O counts from its first submission "
        "to its last byte."
    )


def _file(job: Job, told: Mapping[str, Any]) -> str:
    wanted = max(job.file_bytes, told["file_bytes_wanted"])
    if told["file_bytes"] > wanted - job.block_bytes:
        return ""
    return (
        f"The data file has {told['file_bytes'] / (1 << 20):.0f} MiB instead of {wanted / (1 << 20):.0f} MiB: there is "
        "no more room. Free some space, or set LABKIT_DATA to a folder on another disk."
    )
