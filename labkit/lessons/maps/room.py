# SPDX-License-Identifier: Apache-2.0
"""Lesson 02: a map that is full."""

from __future__ import annotations

import random

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import check_int
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.running.workload import Workload

__all__ = ["full", "too_many_sizes"]


def full(keys: int = 97, entries: int = 64, times: int = 1, *, progress: Progress | None = None) -> pd.DataFrame:
    """Give a hash and an LRU hash more keys than they have room for.

    Parameters
    ----------
    keys : distinct keys: sizes of writes, 1 to `keys` bytes, in this order; 1 to 1 million.
    entries : room in each map, 1 to 1 million.
    times : how often the workload writes all the sizes, 1 to 100.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per map: arm ("hash", "LRU hash"), entries, keys, calls (events), kept (keys in the map at the end), count
    (events that these keys have counted), refused (events for which there was no room), low_bytes and high_bytes (the
    smallest and largest key that is in the map).
    """
    keys = check_int("keys", keys, 1, 1_000_000, "keys")
    entries = check_int("entries", entries, 1, 1_000_000, "entries (the kernel refuses a map with no room)")
    times = check_int("times", times, 1, 100, "times")
    arguments = ["--work", "sizes", "--smallest", "1", "--largest", str(keys), "--calls", str(keys * times)]
    with (
        exclusive("lesson 02: a full map", progress) as report,
        Program("maps_full", flags={"ENTRIES": entries}) as program,
    ):
        with Workload("maps", arguments) as run, program.watching(run.pid):
            answer = run.go(tick=lambda _: report(0.5, "writing"))
        refused, rows = program.counters("refused"), []
        for number, (arm, name) in enumerate({"hash": "first_come", "LRU hash": "last_used"}.items()):
            held = program.hash(name)
            rows.append(
                {
                    "arm": arm,
                    "entries": entries,
                    "keys": keys,
                    "calls": answer["calls"],
                    "kept": len(held),
                    "count": sum(held.values()),
                    "refused": int(refused[number]),
                    "low_bytes": min(held, default=0),
                    "high_bytes": max(held, default=0),
                }
            )
        refusals = [f"{row['arm']}: {row['refused']} events refused, no room" for row in rows if row["refused"]]
        facts = provenance(command=run.command, warnings=refusals)
    return schema.frame(rows, **facts)


def too_many_sizes() -> pd.DataFrame:
    """Run `full` with a number of keys that only this process knows; exercise 02-q2 asks for it."""
    keys = random.SystemRandom().randint(70, 400)
    made = full(keys, 64)
    truths.expect("02-q2", keys)
    shown = made[made["arm"] == "hash"][["arm", "entries", "kept", "count", "refused"]]
    return schema.derived(shown, made, command="")  # it names the answer
