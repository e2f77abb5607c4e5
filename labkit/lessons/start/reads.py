# SPDX-License-Identifier: Apache-2.0
"""Lesson 00: this very process reads a file, and eBPF times each read(2) from inside the kernel.

Rests on the tracepoints syscalls:sys_enter_read and syscalls:sys_exit_read.
"""

from __future__ import annotations

import os
import random
import threading

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.errors import check_int
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.files import random_file
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, part

__all__ = ["measure", "mystery"]


def measure(block_bytes: int = 65536, blocks: int = 97, *, progress: Progress | None = None) -> pd.DataFrame:
    """Write a file, read it back block by block with os.read(), and time each read from inside the kernel.

    Parameters
    ----------
    block_bytes : bytes asked for by each read, 1 to 4 MiB.
    blocks : how many reads, 1 to 10000.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per read: time_ns (since boot), latency_ns, bytes (that it returned), block_bytes (that it asked for).
    `attrs` carries provenance and lost_events.
    """
    block_bytes = check_int("block_bytes", block_bytes, 1, 4 << 20, "bytes")
    blocks = check_int("blocks", blocks, 1, 10_000, "reads")
    with exclusive("lesson 00: start", progress) as report, run_folder() as folder, Program("start") as program:
        path = random_file(folder / "file", block_bytes * blocks, part(report, 0, 0.5))
        with RingReader(program, "events", max_events=1_000_000) as ring, path.open("rb", buffering=0) as file:
            with program.watching(os.getpid()):
                for number in range(blocks):
                    if number % 16 == 0:
                        program.aim(pid=())  # nobody: a report may read files itself
                        report(0.5 + 0.5 * number / blocks, "reading")
                        program.aim(pid=os.getpid())
                    os.read(file.fileno(), block_bytes)
        made = ring.frame()
        facts = provenance(path=path, lost_events=ring.lost, repeats=blocks)
    # other threads of this process read too: the notebook talks with its kernel
    own = made[made["tid"] == threading.get_native_id()].drop(columns=["tid", "cpu"])
    return schema.frame(own.assign(block_bytes=block_bytes).reset_index(drop=True), **facts)


def mystery() -> pd.DataFrame:
    """Read a file of unknown block size an unknown number of times; exercises 00-q1 to 00-q3 ask about it."""
    chance = random.SystemRandom()
    blocks = chance.randint(31, 199)
    frame = measure(chance.choice([3000, 5000, 7000, 11000]), blocks).drop(columns="block_bytes")
    truths.expect("00-q1", blocks)
    truths.expect("00-q2", int(frame["bytes"].sum()))
    truths.expect("00-q3", int(frame["latency_ns"].to_numpy().argmax()))
    return frame
