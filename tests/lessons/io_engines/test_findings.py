# SPDX-License-Identifier: Apache-2.0
"""Lesson 07's sentence compares like with like, and says what is the same."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

from labkit import schema
from labkit.lessons.io_engines.findings import finding, growth, rivals

RATES = {"sync": 1.0, "libaio": 4.0, "io_uring": 5.0}  # at depth 32; four times as many at 64 KiB as at 4 KiB


def run(engines: str, sizes: tuple[int, ...] = (4096,), depths: tuple[int, ...] = (32,), **more: Any) -> pd.DataFrame:
    rows = []
    for engine in engines.split():
        for size in sizes:
            for depth in (1,) if engine == "sync" else depths:
                rate = RATES[engine] if depth > 1 or engine == "sync" else 1.5
                row = {"engine": engine, "cache": "direct", "block_bytes": size, "queue_depth": depth, "run": 1}
                row |= {
                    "slices": 8,
                    "p50_ns": 12_300,
                    **dict.fromkeys(("ios_per_s", "low_ios_per_s", "high_ios_per_s"), 1009.0),
                }
                row |= {"bytes_per_s": rate * (size**0.5)}
                rows.append(row | more)
    return schema.frame(rows)


BOTH = (4096, 65536)
ALONE = "1.01 k I/Os per second; half of them took less than 12.3 µs."


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (run("sync"), f"sync, 4 KiB, depth 1, O_DIRECT: {ALONE}"),
        (run("libaio"), f"libaio, 4 KiB, depth 32, O_DIRECT: {ALONE}"),
        (
            run("sync libaio io_uring"),
            "4 KiB, depth 32, O_DIRECT: io_uring moves 1.25 times as many bytes per second as libaio; "
            "io_uring moves 5 times as many bytes per second as sync, which has one I/O in flight.",
        ),
        (
            run("sync libaio"),
            "4 KiB, depth 32, O_DIRECT: "
            "libaio moves 4 times as many bytes per second as sync, which has one I/O in flight.",
        ),
        (
            run("sync libaio io_uring", depths=(1,)),
            "4 KiB, depth 1, O_DIRECT: io_uring moves 1.5 times as many bytes per second as sync.",
        ),
        (
            run("io_uring", BOTH),
            "io_uring, depth 32, O_DIRECT: 64 KiB moves 4 times as many bytes per second as 4 KiB.",
        ),
        (
            run("libaio io_uring", BOTH),
            "4 KiB, depth 32, O_DIRECT: io_uring moves 1.25 times as many bytes per second as libaio. "
            "io_uring, depth 32, O_DIRECT: 64 KiB moves 4 times as many bytes per second as 4 KiB.",
        ),
        (
            run("libaio", depths=(1, 32)),
            "libaio, 4 KiB, O_DIRECT: depth 32 moves 2.67 times as many bytes per second as depth 1.",
        ),
        (
            pd.concat([run("libaio"), run("libaio", cache="warm", bytes_per_s=40.0 * 64)], ignore_index=True),
            "libaio, 4 KiB, depth 32: page cache, warm moves 10 times as many bytes per second as O_DIRECT.",
        ),
        (
            pd.concat([run("libaio"), run("sync", bytes_per_s=8.0 * 64)], ignore_index=True),
            "4 KiB, depth 32, O_DIRECT: sync, which has one I/O in flight, "
            "moves 2 times as many bytes per second as libaio.",
        ),
        (
            pd.concat([run("libaio"), run("sync", (65536,))], ignore_index=True),
            f"libaio, 4 KiB, depth 32, O_DIRECT: {ALONE}",
        ),
    ],
)
def test_it_compares_what_differs_in_one_thing(frame: pd.DataFrame, said: str) -> None:
    assert re.sub(r" \(95 % interval [^)]*\)", "", finding(frame)) == said


def test_of_several_runs_it_speaks_of_the_last_and_says_so() -> None:
    frame = pd.concat([run("sync"), run("io_uring", BOTH, run=2)], ignore_index=True)
    assert finding(frame).startswith("Run 2. io_uring, depth 32, O_DIRECT: 64 KiB moves")


def test_where_the_intervals_hold_that_they_are_equal_no_difference_is_claimed() -> None:
    frame = run("libaio io_uring", low_ios_per_s=900.0, high_ios_per_s=1200.0)
    assert finding(frame) == "4 KiB, depth 32, O_DIRECT: no difference was shown between io_uring and libaio."
    narrow = run("libaio io_uring", low_ios_per_s=1000.0, high_ios_per_s=1020.0)
    assert "moves 1.25 times (95 % interval 1.23 to 1.27) as many" in finding(narrow)
    assert "(range of 2 slices, too few to be sure: 1.23 to 1.27)" in finding(narrow.assign(slices=2))
    assert finding(run("sync libaio", low_ios_per_s=100.0, high_ios_per_s=5000.0)).endswith(
        "no difference was shown between libaio and sync, which has one I/O in flight."
    )


def test_growth_compares_two_values_of_one_setting_with_the_interval_of_the_ratio():
    def row(engine: str, depth: int, rate: float, latency: float, again: bool = False) -> dict[str, Any]:
        made = {"engine": engine, "queue_depth": depth, "again": again}
        for name, value in {"ios_per_s": rate, "p50_ns": latency}.items():
            made |= {name: value, f"low_{name}": 0.8 * value, f"high_{name}": 1.25 * value}
        return made

    rows = [row("sync", 1, 10, 100), row("sync", 1, 99, 99, True)]
    rows += [row(engine, depth, 10 * depth**0.5, 50 * depth) for engine in ("libaio", "io_uring") for depth in (16, 64)]
    made = growth(schema.frame(rows), "queue_depth", 16, 64)
    assert list(made["engine"]) == ["libaio", "libaio", "io_uring", "io_uring"]  # sync has one depth
    rate, latency = made.iloc[0], made.iloc[1]
    assert (rate["comparison"], latency["comparison"]) == ("I/Os per second", "median latency")
    assert (rate["ratio"], latency["ratio"]) == (2, 4)
    assert (rate["low"], rate["high"]) == pytest.approx((2 * 0.8 / 1.25, 2 * 1.25 / 0.8))


def test_rivals_are_compared_with_the_interval_of_the_ratio():
    rows = []
    for engine, cost in {"io_uring": 10.0, "libaio": 40.0, "pool": 20.0}.items():
        row: dict[str, Any] = {"engine": engine, "again": False}
        for name, value in {"ios_per_s": 1000.0, "p50_ns": 7.0, "cpu_ns_per_io": cost}.items():
            row |= {name: value, f"low_{name}": 0.8 * value, f"high_{name}": 1.25 * value}
        rows.append(row)
    made = rivals(schema.frame([*rows, {**rows[0], "again": True, "cpu_ns_per_io": 99.0}]), "pool")
    assert list(made["engine"].unique()) == ["io_uring", "libaio"]
    cost = made[made["comparison"] == "CPU time per I/O"].set_index("engine")
    assert cost["ratio"].tolist() == [2, 0.5]
    assert cost.loc["io_uring", ["low", "high"]].tolist() == pytest.approx([2 * 0.8 / 1.25, 2 * 1.25 / 0.8])
