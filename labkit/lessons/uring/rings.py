# SPDX-License-Identifier: Apache-2.0
"""Lesson 08, the rings: one file read by hand and by the library; where the heads and tails stand after each step."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_choice, check_file, check_int
from labkit.lessons.uring.watched import ENTERS, PROGRAM, Watcher, watcher
from labkit.machine.provenance import provenance
from labkit.running.files import leave_cache, random_file
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, silent

__all__ = ["HEADS_AND_TAILS", "HOWS", "a_file", "readers", "ring_steps", "steps"]

HOWS = ("raw", "liburing")
HEADS_AND_TAILS = ("sq_head", "sq_tail", "cq_head", "cq_tail")
LARGEST_FILE = 1 << 30
LARGE_BLOCK = 1 << 20  # so large that reading ahead does not bring all the next ones along
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
    queue_depth : reads under way at a time, 1 to 1024.
    path : a file of your own to read instead.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a way: how ("raw", "liburing"), bytes, ios, crc32 (of what came), same (is that Python's own zlib.crc32 of
    the file?), calls (of io_uring_enter, by its own count), hand_overs and waits (the same calls, as the kernel saw
    them), taken (requests that the kernel took from the ring).

    Raises
    ------
    BadArgument : an argument is not allowed; nothing has been started.
    Missing : BPF cannot be loaded, or io_uring is refused.
    """
    file_bytes = check_int("file_bytes", file_bytes, 0, LARGEST_FILE, "bytes")
    block_bytes = check_int("block_bytes", block_bytes, 1, 4 << 20, "bytes")
    queue_depth = check_int("queue_depth", queue_depth, 1, DEEPEST, "reads")
    path = None if path is None else check_file("path", path)
    report, rows = progress or silent, []
    with exclusive("lesson 08: two readers", report), watcher() as run, a_file(file_bytes, path) as file:
        wanted = zlib.crc32(file.read_bytes())
        for done, how in enumerate(HOWS):
            report(done / len(HOWS), how)
            watched = run.run("uring", _arguments(file, how, block_bytes, queue_depth))
            told, seen = watched.told, watched.kernel
            rows.append(
                {
                    "how": how,
                    "bytes": told["bytes"],
                    "ios": told["ios"],
                    "crc32": f"{told['crc32']:08x}",
                    "same": "yes" if told["crc32"] == wanted else "no",
                    "calls": watched.own_calls,
                    "hand_overs": seen.count("hands over"),
                    "waits": seen.count("waits"),
                    "taken": seen.count("request taken"),
                }
            )
        facts = provenance(command=watched.command, path=file, seen_calls=seen.count(*ENTERS, thread=PROGRAM))
    report(1.0, "done")
    return schema.frame(rows, **facts)


def steps(
    blocks: int = 12,
    queue_depth: int = 4,
    cache: str = "cold",
    *,
    sqpoll: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Record where the heads and tails of both rings stand after each step of the reader made by hand.

    Parameters
    ----------
    blocks : blocks to read, of 1 MiB each, 1 to 100.
    queue_depth : reads under way at a time, 1 to 64.
    cache : "cold" (results come later) or "warm" (each is there when the call returns).
    sqpoll : let a kernel thread watch the submission ring.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a step: step, what ("fill", "submit", "wait", "seen"), sq_head, sq_tail, cq_head, cq_tail, request (the read
    that was filled in, or whose result was seen; -1: none), elapsed_ns. `attrs` holds sq_entries and cq_entries, the
    sizes of the rings.

    Raises
    ------
    BadArgument : an argument is not allowed; nothing has been started.
    WorkloadUnable : this machine has no io_uring, or refuses it.
    """
    blocks = check_int("blocks", blocks, 1, 100, "blocks")
    queue_depth = check_int("queue_depth", queue_depth, 1, 64, "reads")
    check_choice("cache", cache, ("cold", "warm"))
    report = progress or silent
    with exclusive("lesson 08: heads and tails", report), a_file(LARGE_BLOCK * blocks) as file:
        report(0.0, "reading")
        made = ring_steps(file, LARGE_BLOCK, queue_depth, cache, sqpoll)
    report(1.0, "done")
    return made


def ring_steps(file: Path, block_bytes: int, queue_depth: int, cache: str, sqpoll: bool = False) -> pd.DataFrame:
    """Return the frame of `steps` for a file that exists."""
    if cache == "cold":
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            leave_cache(opened.fileno())
    more = ["--trace", *(["--sqpoll"] if sqpoll else [])]
    watched = Watcher(None).run("uring", [*_arguments(file, "raw", block_bytes, queue_depth), *more])
    rows = [_step(number, step) for number, step in enumerate(watched.told["steps"])]
    sizes = {name: watched.told[name] for name in ("sq_entries", "cq_entries")}
    facts = provenance(command=watched.command, path=file, queue_depth=queue_depth, **sizes)
    return schema.frame(rows, **facts)


def _step(number: int, step: dict[str, Any]) -> dict[str, Any]:
    places = {name: step[name] for name in HEADS_AND_TAILS}
    request = step.get("request", -1)
    return {"step": number, "what": step["what"], **places, "request": request, "elapsed_ns": step["elapsed_ns"]}


def _arguments(file: Path, how: str, block_bytes: int, queue_depth: int) -> list[str]:
    given = {"file": file, "how": how, "block-bytes": block_bytes, "queue-depth": queue_depth}
    return [word for name, value in given.items() for word in (f"--{name}", str(value))]


@contextmanager
def a_file(file_bytes: int, path: Path | str | None = None) -> Iterator[Path]:
    """Yield a file of random bytes that is on the disk and in the page cache, and remove it; or the learner's own."""
    if path is not None:
        yield Path(path).resolve()
        return
    with run_folder() as folder:
        yield random_file(folder / "file", file_bytes)
