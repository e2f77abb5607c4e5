# SPDX-License-Identifier: Apache-2.0
"""Lesson 08, the rings: one file read by hand and by the library; where the heads and tails are after each step."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_bool, check_choice, check_file, check_int
from labkit.lessons.uring.runs import attached, run
from labkit.machine.provenance import provenance
from labkit.running.files import leave_cache, random_file
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, Tick
from labkit.stats import trial

__all__ = ["HEADS_AND_TAILS", "INTERFACES", "a_file", "readers", "ring_steps", "steps"]

INTERFACES = ("raw", "liburing")
HEADS_AND_TAILS = ("sq_head", "sq_tail", "cq_head", "cq_tail")
LARGEST_FILE = 1 << 30
STEP_BYTES = 256 << 10  # so large that a disk takes longer for one than the program for a step
CACHES = ("direct", "cold", "warm")
DEEPEST = 1024


def readers(
    file_bytes: int = 100_003,
    block_bytes: int = 4096,
    queue_depth: int = 8,
    path: Path | str | None = None,
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Read a file whole, through rings made by hand and by liburing.

    Parameters
    ----------
    file_bytes : size of the file that is made for it, of random bytes, 0 to 1 GiB.
    block_bytes : size of one read, 1 byte to 4 MiB; the last may be smaller.
    queue_depth : reads in flight at a time, 1 to 1024.
    path : a file of your own to read instead.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per interface: interface ("raw", "liburing"), bytes, ios, crc32 (of what came), file_crc32 (of the file, by
    Python's zlib), calls (of io_uring_enter, by the program's own count), submits and waits (the same calls, as the
    kernel saw them), sqes (requests that the kernel consumed from the ring).

    Raises
    ------
    BadArgument : an argument is not allowed; nothing has been started.
    Missing : BPF cannot be loaded, or io_uring is refused.
    """
    file_bytes = check_int("file_bytes", file_bytes, 0, LARGEST_FILE, "bytes")
    block_bytes = check_int("block_bytes", block_bytes, 1, 4 << 20, "bytes")
    queue_depth = check_int("queue_depth", queue_depth, 1, DEEPEST, "reads")
    path = None if path is None else check_file("path", path)
    with (
        exclusive("lesson 08: two readers", progress) as report,
        attached() as program,
        a_file(file_bytes, path) as file,
    ):
        checksum = zlib.crc32(file.read_bytes())
        found = trial.once(
            {name: _arguments(file, name, block_bytes, queue_depth) for name in INTERFACES},
            lambda arguments, tick: run("uring", arguments, program=program, tick=tick),
            progress=report,
        )
        lost = sum(each.seen.lost for each in found.values())
        facts = provenance(command=found["liburing"].command, path=file, lost_events=lost)
    rows = [
        {
            "interface": name,
            "bytes": each.report["bytes"],
            "ios": each.report["ios"],
            "crc32": f"{each.report['crc32']:08x}",
            "file_crc32": f"{checksum:08x}",
            "calls": each.own_calls,
            "submits": each.seen.count("submits"),
            "waits": each.seen.count("waits"),
            "sqes": each.seen.count("sqe consumed"),
        }
        for name, each in found.items()
    ]
    return schema.frame(rows, **facts)


def steps(
    blocks: int = 12,
    queue_depth: int = 4,
    cache: str = "direct",
    *,
    sqpoll: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Record where the heads and tails of both rings are after each step of the reader made by hand.

    Parameters
    ----------
    blocks : blocks to read, of 256 KiB each, at random places, 1 to 100.
    queue_depth : reads in flight at a time, 1 to 64.
    cache : "direct" (O_DIRECT: each read takes as long as the disk, so that results come later), "cold" (the page
        cache does not have the file; reading ahead may bring it before it is asked for) or "warm" (each result is there
        when the call returns).
    sqpoll : let a kernel thread watch the submission ring.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per step: step, action ("fill", "submit", "wait", "seen"), sq_head, sq_tail, cq_head, cq_tail, request (the
    read that was filled in, or whose result was seen; -1: none), elapsed_ns, sq_entries, cq_entries (the sizes of the
    rings).

    Raises
    ------
    BadArgument : an argument is not allowed; nothing has been started.
    WorkloadUnable : this machine has no io_uring or refuses it, or the data folder's file system has no O_DIRECT.
    """
    blocks = check_int("blocks", blocks, 1, 100, "blocks")
    queue_depth = check_int("queue_depth", queue_depth, 1, 64, "reads")
    check_choice("cache", cache, CACHES)
    sqpoll = check_bool("sqpoll", sqpoll)
    with exclusive("lesson 08: heads and tails", progress) as report, a_file(STEP_BYTES * blocks) as file:
        return trial.once(
            {"reading": file},
            lambda file, tick: ring_steps(file, STEP_BYTES, queue_depth, cache, sqpoll, tick=tick),
            progress=report,
        )["reading"]


def ring_steps(
    file: Path, block_bytes: int, queue_depth: int, cache: str, sqpoll: bool = False, *, tick: Tick | None = None
) -> pd.DataFrame:
    """Return the frame of `steps` for a file that exists."""
    if cache == "cold":
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            leave_cache(opened.fileno())
    more = ["--trace", "--random"]
    more += [f"--{name}" for name, asked in (("direct", cache == "direct"), ("sqpoll", sqpoll)) if asked]
    made = run("uring", [*_arguments(file, "raw", block_bytes, queue_depth), *more], tick=tick)
    sizes = {name: made.report[name] for name in ("sq_entries", "cq_entries")}
    rows = [{**_step(number, step), **sizes} for number, step in enumerate(made.report["steps"])]
    facts = provenance(command=made.command, path=file, queue_depth=queue_depth, lost_events=made.report["lost_events"])
    return schema.frame(rows, **facts)


def _step(number: int, step: dict[str, Any]) -> dict[str, Any]:
    places = {name: step[name] for name in HEADS_AND_TAILS}
    request = step.get("request", -1)
    return {"step": number, "action": step["action"], **places, "request": request, "elapsed_ns": step["elapsed_ns"]}


def _arguments(file: Path, interface: str, block_bytes: int, queue_depth: int) -> list[str]:
    given = {"file": file, "interface": interface, "block-bytes": block_bytes, "queue-depth": queue_depth}
    return [word for name, value in given.items() for word in (f"--{name}", str(value))]


@contextmanager
def a_file(file_bytes: int, path: Path | str | None = None) -> Iterator[Path]:
    """Yield a file of random bytes that is on the disk and in the page cache, and remove it; or the learner's own."""
    if path is not None:
        yield Path(path).resolve()
        return
    with run_folder() as folder:
        yield random_file(folder / "file", file_bytes)
