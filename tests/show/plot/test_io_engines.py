"""Lesson 07's plots: what is drawn is what the frame holds."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit import schema
from labkit.show import plot
from labkit.show.plot import style
from labkit.show.plot.io_engines import LONGEST


def draw(frame: pd.DataFrame) -> Axes:
    return plot.io_engines(frame, style.figure().subplots())


def whole(ax: Axes) -> Figure:
    drawn = ax.get_figure()
    assert isinstance(drawn, Figure)
    drawn.draw_without_rendering()
    return drawn


def sweep(sizes: tuple[int, ...] = (4096,), depths: tuple[int, ...] = (1,), **more: Any) -> pd.DataFrame:
    rows = [
        {"engine": engine, "cache": "direct", "operation": "read", "order": "random", "block_bytes": size,
         "queue_depth": depth, "p25_ns": 90 * depth, "p50_ns": 100 * depth, "p75_ns": 120 * depth,
         "p99_ns": 900 * depth, "ios_per_s": 1000.0 * depth, "bytes_per_s": 1000.0 * size, "calls_per_io": 1 / depth,
         "sleeps_per_io": 0.5, "cpu_ns_per_io": 5.0}
        for engine in ("libaio", "io_uring") for size in sizes for depth in depths
    ]  # fmt: skip
    return schema.frame(rows).assign(**more)


def lanes(*ends: int) -> pd.DataFrame:
    rows = [
        {"engine": engine, "slot": slot, "submit_ns": 0, "complete_ns": end, "latency_ns": end}
        for engine, end in zip(("sync", "io_uring"), ends, strict=True)
        for slot in (0, 1)
    ]
    return schema.frame(rows)


def test_one_setting_has_a_mark_and_a_bar_for_each_engine() -> None:
    left, right = whole(draw(sweep(depths=(8,)))).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["libaio", "io_uring"]
    assert [bar.get_width() for bar in right.patches] == [8000, 8000]


def test_sizes_are_lines_of_latency_and_of_throughput() -> None:
    left, right = whole(draw(sweep(sizes=(4096, 65536)))).axes
    assert [box.get_label() for box in left.containers] == ["libaio", "io_uring"]
    assert right.lines[0].get_xydata().tolist() == [[4096, 4_096_000], [65536, 65_536_000]]
    (segments,) = left.containers[0].lines[2]
    assert segments.get_segments()[0].tolist() == [[4096, 90], [4096, 120]]


def test_depths_are_marks_on_a_curve_of_latency_over_throughput() -> None:
    ax = draw(sweep(depths=(1, 4)))
    assert [box.lines[0].get_xydata().tolist() for box in ax.containers] == [[[1000, 100], [4000, 400]]] * 2
    assert [text.get_text() for text in ax.texts] == ["1", "4"] * 2


@pytest.mark.parametrize(
    ("second", "names"),
    [
        ({"run": 2}, ["libaio, run 1", "io_uring, run 1", "libaio, run 2", "io_uring, run 2"]),
        ({"run": 1, "cache": "warm"},
         ["libaio, O_DIRECT", "io_uring, O_DIRECT", "libaio, page cache, warm", "io_uring, page cache, warm"]),
        ({"run": 1, "order": "sequential", "operation": "write"},
         ["libaio, read, random", "io_uring, read, random", "libaio, write, sequential",
          "io_uring, write, sequential"]),
    ],
)  # fmt: skip
def test_what_differs_between_runs_is_in_the_legend(second: dict[str, Any], names: list[str]) -> None:
    frame = pd.concat([sweep(depths=(1, 4), run=1), sweep(depths=(1, 4), **second)], ignore_index=True)
    (legend,) = whole(draw(frame)).legends
    assert [text.get_text() for text in legend.get_texts()] == names


def test_what_an_io_costs_is_drawn_too_where_nobody_could_watch() -> None:
    columns = ["engine", "calls_per_io", "sleeps_per_io", "cpu_ns_per_io"]
    parts = whole(draw(sweep(sleeps_per_io=float("nan"))[columns])).axes
    assert [part.get_xlabel() for part in parts] == [schema.label(column) for column in columns[1:]]


def test_each_io_is_a_bar_in_its_lane() -> None:
    sync, uring = whole(draw(lanes(30, 10))).axes
    assert len(sync.collections) == len(uring.collections) == 2
    assert sync.get_title(loc="right") == "at most 2 under way at once; all done at 30 ns"
    assert sync.get_xlim()[1] >= 30


def test_an_engine_that_takes_for_ever_does_not_hide_the_others() -> None:
    sync, _ = whole(draw(lanes(100_000, 10))).axes
    assert sync.get_xlim()[1] < 2 * LONGEST * 10
    assert "all done at 100 µs" in sync.get_title(loc="right")


def test_who_sleeps_is_written_beside_each_call() -> None:
    rows = [
        {"engine": "libaio", "cache": cache, "call": "io_submit", "count": 23, "slept": slept, "ns_per_io": 7.0}
        for cache, slept in (("direct", 0), ("cold", 22))
    ]
    parts = whole(draw(schema.frame(rows))).axes
    assert [text.get_text() for part in parts for text in part.texts] == ["slept in 0 of 23", "slept in 22 of 23"]
    assert [part.get_title(loc="left") for part in parts] == ["O_DIRECT", "page cache, cold"]


def test_a_file_in_memory_tells_who_was_given_the_work() -> None:
    row = {"engine": "io_uring", "filesystem": "tmpfs", "ios": 23, "punted": 23, "p50_ns": 8000}
    ax = draw(schema.frame([row]))
    assert [text.get_text() for text in ax.texts] == ["8 µs; 23 of 23 given to a worker"]
