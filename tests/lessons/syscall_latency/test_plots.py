# SPDX-License-Identifier: Apache-2.0
"""Lesson 06's plots: what is drawn is what the frame holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from labkit import schema
from labkit.lessons import syscall_latency
from labkit.lessons.syscall_latency.io_stages import STAGES
from labkit.notebook.plotting import style
from labkit.stats.histogram import bucket_low, bucket_of


def draw(frame: pd.DataFrame) -> Axes:
    return syscall_latency.plot(frame, style.figure().subplots())


def sweep(**more: Any) -> pd.DataFrame:
    rows = [
        {
            "operation": "read",
            "cache": cache,
            "block_bytes": size,
            "ios": 7,
            "count": 7,
            "p25_ns": low,
            "p50_ns": low + 1,
            "p75_ns": low + 5,
            "p99_ns": low + 90,
            "unwatched_p50_ns": low + 2,
            "ios_per_s": 1.0,
            "bytes_per_s": 1.0,
        }
        for cache, low in (("direct", 100), ("warm", 10))
        for size in (65536, 4096)
    ]
    return schema.frame(rows).assign(**more)


def stages(**more: Any) -> pd.DataFrame:
    parts = dict.fromkeys(["before_ns", *STAGES, "after_ns"], 10)
    row = {"cache": "direct", "block_bytes": 4096, **parts, "latency_ns": 50, "program_ns": 70}
    return schema.frame([row, {**row, "block_bytes": 65536}]).assign(**more)


def test_a_histogram_draws_every_call_once() -> None:
    ax = draw(schema.frame({"latency_ns": [1000, 1001, 90_000], "count": [3, 4, 5]}))
    assert sum(bar.get_height() for bar in ax.patches) == 12
    assert "12 system calls" in ax.get_title(loc="left")


def test_a_sweep_draws_a_line_for_each_way_through_its_medians() -> None:
    ax = draw(sweep())
    lines = {box.get_label(): box.lines[0].get_xydata().tolist() for box in ax.containers}
    assert lines == {
        "O_DIRECT": [[4096, 101], [65536, 101]],
        "page cache, warm": [[4096, 11], [65536, 11]],
    }


def test_the_bars_of_a_sweep_reach_from_quartile_to_quartile() -> None:
    (segments,) = draw(sweep()).containers[0].lines[2]
    assert segments.get_segments()[0].tolist() == [[4096, 100], [4096, 105]]


@pytest.mark.parametrize(
    ("second", "names"),
    [
        ({"run": 2}, ["O_DIRECT, run 1", "page cache, warm, run 1", "O_DIRECT, run 2", "page cache, warm, run 2"]),
        (
            {"run": 1, "operation": "write"},
            ["read, O_DIRECT", "read, page cache, warm", "write, O_DIRECT", "write, page cache, warm"],
        ),
    ],
)
def test_runs_and_operations_have_lines_of_their_own(second: dict[str, Any], names: list[str]) -> None:
    ax = draw(pd.concat([sweep(run=1), sweep(**second)], ignore_index=True))
    assert [box.get_label() for box in ax.containers] == names


def heat(latencies: list[int], **more: Any) -> pd.DataFrame:
    """The frame of a heat map whose calls took so long, one per call."""
    middles = (bucket_low(bucket_of(latencies) // 8 * 8) + bucket_low(bucket_of(latencies) // 8 * 8 + 8) - 1) // 2
    columns = {"elapsed_s": 0.0, "slice_s": 0.1, "latency_ns": middles, "count": 1, "neighbour": "away", "ios": 1}
    return schema.frame(pd.DataFrame(columns).assign(**more))


def test_a_heat_map_holds_each_count_at_its_place() -> None:
    frame = heat(
        [1024, 1024, 2048], elapsed_s=[0.0, 0.1, 0.1], count=[3, 4, 5], neighbour=["away", "at work", "at work"]
    )
    ax = draw(frame)
    shown = ax.collections[0].get_array().filled(0)
    assert shown.tolist() == [[3, 4]] + [[0, 0]] * 7 + [[0, 5]]
    assert [round(line.get_xdata()[0], 9) for line in ax.lines] == [0.1, 0.2]


def test_the_rows_of_a_heat_map_are_the_buckets_without_gaps_or_doubles() -> None:
    """One call in every bucket over five octaves: each row holds exactly one, and its edges are the bucket's."""
    lows = bucket_low(np.arange(bucket_of(1 << 12) // 8 * 8, bucket_of(1 << 17), 8))
    ax = draw(heat(lows.tolist()))
    shown = ax.collections[0].get_array().filled(0)
    assert shown.tolist() == [[1.0]] * len(lows)
    edges = ax.collections[0].get_coordinates()[:, 0, 1]
    assert edges[:-1].tolist() == lows.tolist()


def test_a_stack_has_the_five_stages_and_a_line_where_the_program_measured() -> None:
    ax = draw(stages())
    assert [text.get_text() for text in ax.texts] == ["70 ns", "70 ns"]
    assert max(bar.get_x() + bar.get_width() for bar in ax.patches) == 50
    assert len(ax.patches) == 2 * len(STAGES)
    assert {line.get_xdata()[0] for line in ax.lines} == {70}


def test_a_stage_has_the_same_colour_in_both_pictures() -> None:
    def colours(ax: Axes) -> dict[str, Any]:
        return {str(box.get_label()): box.patches[0].get_facecolor() for box in ax.containers}

    assert colours(draw(stages())) == colours(draw(stages().drop(columns="program_ns")))


def test_reads_without_a_program_of_their_own_are_drawn_one_by_one() -> None:
    ax = draw(stages().drop(columns="program_ns"))
    assert sum(bar.get_height() for bar in ax.patches) == 2 * 50


def test_each_witness_has_its_count_beside_its_bar() -> None:
    ax = draw(schema.frame({"witness": ["strace", "fio"], "count": [23, 23], "p50_ns": [None, 5], "mean_ns": [9, 7]}))
    assert [bar.get_width() for bar in ax.patches] == [9, 7]
    assert [text.get_text() for text in ax.texts] == ["9 ns, 23 calls", "7 ns, 23 calls"]


def test_the_watchers_stand_below_nobody() -> None:
    arms = ["strace", "eBPF timer", "nobody watches", "nobody watches (again)", "eBPF stages"]
    ax = draw(schema.frame({"arm": arms, "slice": 0, "ns_per_call": [900, 20, 10, 11, 30]}))
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert shown == ["nobody watches", "nobody watches (again)", "eBPF timer", "eBPF stages", "strace"]
