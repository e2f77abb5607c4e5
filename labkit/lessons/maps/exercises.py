# SPDX-License-Identifier: Apache-2.0
"""The programs that learners write in lesson 02, and the cases in which they are tried."""

from __future__ import annotations

from collections import Counter

from labkit.lessons._judge.cases import Act, Case, not_watched
from labkit.lessons._judge.kept import Kept, Key
from labkit.lessons._judge.tool import Tool, Truth

__all__ = ["FULL", "RACE", "ROOM"]

ROOM = 8  # for sizes


def _sizes(acts: list[Act]) -> Truth:
    """Count the writes by size: the first `ROOM` sizes are kept, the writes of all others are refused."""
    kept: Counter[Key] = Counter()
    refused = 0
    for act in acts:
        size = act.arguments[0]
        if size in kept or len(kept) < ROOM:
            kept[size] += act.done
        else:
            refused += act.done
    return {"sizes": kept, "refused": {0: refused}}


_TWO_THREADS = Case(
    "two threads on two CPUs",
    "main: getppid 300000-400000; thread: getppid 300000-400000",
    less="Updates were lost: two CPUs read the same old value, and both wrote back one more. Add in one step, "
    "or give each CPU its own slot.",
)

RACE = Tool(
    "02",
    (Kept("calls", "BPF_ARRAY(calls, u64, 1);"),),
    lambda acts: {"calls": {0: sum(act.done for act in acts)}},
    (
        Case("one thread", "main: getppid 1009-9999", more="Each call was counted more than once."),
        not_watched("main: getppid 101-999", "main: getppid 1009-1999"),
        *[_TWO_THREADS] * 3,  # whether two CPUs meet is chance
    ),
)

FULL = Tool(
    "02",
    (
        Kept("sizes", f"BPF_HASH(sizes, u64, u64, {ROOM});", key="u64", label="size"),
        Kept("refused", "BPF_ARRAY(refused, u64, 1);"),
    ),
    _sizes,
    (
        Case(
            "one size",
            "main: pwrite 11-97 100-900",
            less="The size is args->count of sys_enter_pwrite64: the key of one more write.",
        ),
        not_watched("main: pwrite 3-9 100-900", "main: pwrite 11-97 1000"),
        Case("0 bytes", "main: pwrite 3-9 0, pwrite 3-9 1", less="A write of 0 bytes is a write: its key is 0."),
        Case(
            "more sizes than room",
            f"main: {', '.join(f'pwrite 2-9 {100 * number + 1}-{100 * number + 99}' for number in range(13))}",
            less="A write whose size found no room must be counted in refused, and the first 8 sizes stay.",
            more=f"There is room for {ROOM} sizes. The writes of all others belong in refused, once each.",
        ),
        Case(
            "a full map and a known size",
            f"main: {', '.join(f'pwrite 2-9 {number}' for number in range(7, 19))}, pwrite 11-23 7",
            less="A size that has its place is counted there, also when the map is full.",
            more="A size that has its place is not refused, also when the map is full.",
        ),
    ),
)
