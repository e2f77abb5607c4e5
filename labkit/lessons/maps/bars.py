# SPDX-License-Identifier: Apache-2.0
"""Lesson 02: histograms that the kernel draws in an array of counters."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import bad_argument, check_int
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.running.workload import Workload

__all__ = ["hidden_size", "sizes"]

_HIDDEN_RANGE = (520, 1000)  # all in one bar of the log2 histogram: 512 to 1023


def sizes(
    smallest: int = 600,
    largest: int = 1000,
    step: int = 400,
    *,
    calls: int = 1009,
    first_bytes: int = 0,
    bar_bytes: int = 64,
    bars: int = 32,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let a workload write blocks of known sizes and draw two histograms of them in the kernel.

    Parameters
    ----------
    smallest, largest, step : sizes of the writes in bytes, 1 to 1 MiB: smallest, smallest + step, … up to largest, then
        over again.
    calls : how many writes, 1 to 1 million.
    first_bytes, bar_bytes, bars : where the linear histogram begins, how wide its bars are (1 byte to 1 MiB), and how
        many there are (1 to 250).
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per bar that is not empty: histogram ("log2" or "linear"), low_bytes, high_bytes (both included), count,
    calls (how many the workload counted itself: the same in each row). What lies outside the linear bars is in a last
    bar on either side; nothing is dropped.
    """
    given = (("smallest", smallest), ("largest", largest), ("step", step), ("bar_bytes", bar_bytes))
    smallest, largest, step, bar_bytes = (check_int(name, value, 1, 1 << 20, "bytes") for name, value in given)
    if smallest > largest:
        raise bad_argument("largest", largest, f"at least smallest, which is {smallest}")
    calls = check_int("calls", calls, 1, 1_000_000, "calls")
    first_bytes = check_int("first_bytes", first_bytes, 0, 1 << 20, "bytes")
    bars = check_int("bars", bars, 1, 250, "bars")
    arguments = ["--work", "sizes", "--calls", str(calls)]
    arguments += ["--smallest", str(smallest), "--largest", str(largest), "--step", str(step)]
    flags = {"FIRST": first_bytes, "STEP": bar_bytes, "BARS": bars}
    with exclusive("lesson 02: histograms", progress) as report, Program("maps_sizes", flags=flags) as program:
        with Workload("maps", arguments) as run, program.watching(run.pid):
            answer = run.go(tick=lambda _: report(0.5, "writing"))
        log2, linear = program.counters("log2_bars"), program.counters("linear_bars")
        facts = provenance(command=run.command)
    slots = np.arange(1, 64)
    end = first_bytes + bars * bar_bytes
    lows = [*range(first_bytes, end, bar_bytes), 0, end]
    highs = [*range(first_bytes + bar_bytes - 1, end, bar_bytes), first_bytes - 1, 1 << 20]
    rows = [("log2", 1 << (slot - 1), (1 << slot) - 1, log2[slot]) for slot in map(int, slots)]
    rows += [("linear", low, high, count) for low, high, count in zip(lows, highs, linear, strict=True)]
    made = schema.frame(pd.DataFrame(rows, columns=["histogram", "low_bytes", "high_bytes", "count"]))
    kept = made[made["count"] > 0].sort_values(["histogram", "low_bytes"], ascending=[False, True])
    return schema.frame(kept.reset_index(drop=True).assign(calls=answer["calls"]), **facts)


def hidden_size(first_bytes: int = 0, bar_bytes: int = 64, bars: int = 32) -> pd.DataFrame:
    """Let the workload write blocks of one hidden size, and draw the histograms; exercise 02-q3 asks for the size.

    The size stays the same until the kernel of the notebook ends: look again with other bars.
    """
    try:
        size = int(str(truths.expected("02-q3")))
    except truths.Unknown:
        size = random.SystemRandom().randint(*_HIDDEN_RANGE)
    made = sizes(size, size, 1, calls=101, first_bytes=first_bytes, bar_bytes=bar_bytes, bars=bars)
    truths.expect("02-q3", size)
    made.attrs["command"] = ""  # it names the answer
    return made
