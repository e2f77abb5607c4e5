# SPDX-License-Identifier: Apache-2.0
"""Lesson 07's plots: what is drawn is what the frame holds."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit import schema
from labkit.lessons import io_engines
from labkit.lessons.io_engines import plot_arms
from labkit.lessons.io_engines.plots import LONGEST
from labkit.notebook.plotting import style


def draw(frame: pd.DataFrame) -> Axes:
    return io_engines.plot(frame, style.figure().subplots())


def whole(ax: Axes) -> Figure:
    drawn = ax.get_figure()
    assert isinstance(drawn, Figure)
    drawn.draw_without_rendering()
    return drawn


def sweep(sizes: tuple[int, ...] = (4096,), depths: tuple[int, ...] = (1,), **more: Any) -> pd.DataFrame:
    rows = [
        {
            "engine": engine,
            "cache": "direct",
            "operation": "read",
            "order": "random",
            "block_bytes": size,
            "queue_depth": depth,
            "p25_ns": 90 * depth,
            "p50_ns": 100 * depth,
            "p75_ns": 120 * depth,
            "p99_ns": 900 * depth,
            "ios_per_s": 1000.0 * depth,
            "bytes_per_s": 1000.0 * size,
            "calls_per_io": 1 / depth,
            "sleeps_per_io": 0.5,
            "cpu_ns_per_io": 5.0,
        }
        for engine in ("libaio", "io_uring")
        for size in sizes
        for depth in depths
    ]
    return schema.frame(rows).assign(**more)


def names(frame: pd.DataFrame) -> list[str]:
    """Return the names of the lines in the picture."""
    return [box.get_label() for box in draw(frame.reset_index(drop=True)).get_figure().axes[0].containers]


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


def test_no_title_of_several_plots_is_written_over_another() -> None:
    drawn = whole(draw(sweep(sizes=(4096, 65536, 1 << 20), depths=(1, 4))))
    titles = [part._left_title.get_window_extent() for part in drawn.axes]  # matplotlib has no public name for it
    assert len(titles) == 3 and not any(one.overlaps(other) for one, other in combinations(titles, 2))


@pytest.mark.parametrize(
    ("second", "names"),
    [
        ({"run": 2}, ["libaio, run 1", "io_uring, run 1", "libaio, run 2", "io_uring, run 2"]),
        (
            {"run": 1, "cache": "warm"},
            ["libaio, O_DIRECT", "io_uring, O_DIRECT", "libaio, page cache, warm", "io_uring, page cache, warm"],
        ),
        (
            {"run": 1, "order": "sequential", "operation": "write"},
            [
                "libaio, read, random",
                "io_uring, read, random",
                "libaio, write, sequential",
                "io_uring, write, sequential",
            ],
        ),
    ],
)
def test_what_differs_between_runs_is_in_the_legend(second: dict[str, Any], names: list[str]) -> None:
    frame = pd.concat([sweep(depths=(1, 4), run=1), sweep(depths=(1, 4), **second)], ignore_index=True)
    (legend,) = whole(draw(frame)).legends
    assert [text.get_text() for text in legend.get_texts()] == names


def looks(ax: Axes) -> dict[tuple[float, float], tuple[str, ...]]:
    """Return how each point is drawn: its colour, its mark and the mark's filling, its line."""
    found = {}
    for container in ax.containers:
        line = container.lines[0]
        how = (
            line.get_color(),
            line.get_marker(),
            line.get_fillstyle(),
            str(line.get_markerfacecolor()),
            line.get_linestyle(),
        )
        found |= {(float(x), float(y)): tuple(map(str, how)) for x, y in line.get_xydata()}
    return found


FIRST = {"run": 1, "cache": "direct"}


@pytest.mark.parametrize("setting", [{"sizes": (4096, 65536)}, {"depths": (1, 4)}, {}])
@pytest.mark.parametrize(
    "more",
    [
        [{"cache": "warm"}],
        [{"cache": "cold"}, {"cache": "warm"}, {"cache": "direct"}],
        [{"operation": "write"}],
        [{}, {}],
        [{"engine": "sync"}, {"order": "sequential"}],
    ],
)
def test_an_arm_is_drawn_alike_however_many_runs_are_added(setting: dict[str, Any], more: list[dict[str, Any]]) -> None:
    runs = [sweep(**setting, **FIRST)]
    for number, other in enumerate(more, 2):
        run = sweep(**setting, **{**FIRST, "run": number, **other})
        runs.append(run.assign(p50_ns=run["p50_ns"] + number, ios_per_s=run["ios_per_s"] + number))
    before: dict[tuple[float, float], tuple[str, ...]] = {}
    for count in range(1, len(runs) + 1):
        now = looks(whole(draw(pd.concat(runs[:count], ignore_index=True))).axes[0])
        assert before.items() <= now.items()
        before = now


def test_an_engine_keeps_its_colour_and_mark_when_a_further_run_makes_another_picture() -> None:
    runs = [sweep(run=1), sweep(sizes=(4096, 65536), run=2), sweep(depths=(4, 16), run=3, cache="warm")]
    seen: dict[str, set[tuple[str, str]]] = {"libaio": set(), "io_uring": set()}
    for count in (1, 2, 3):
        frame = pd.concat(runs[:count], ignore_index=True)
        for name, how in plot_arms.series(frame).items():
            seen[name.split(",")[0]].add((how["color"], how["marker"]))
        for box in whole(draw(frame)).axes[0].containers:
            engine = box.get_label().split(",")[0]
            seen.get(engine, set()).add((box.lines[0].get_color(), box.lines[0].get_marker()))
    assert [len(looks) for looks in seen.values()] == [1, 1]
    assert seen["libaio"] != seen["io_uring"]


def test_the_engine_has_the_colour_and_the_way_to_the_file_has_the_line() -> None:
    frame = pd.concat([sweep(sizes=(1, 2), cache=cache) for cache in ("warm", "direct")], ignore_index=True)
    lines = {box.get_label(): box.lines[0] for box in whole(draw(frame)).axes[0].containers}
    for engine in ("libaio", "io_uring"):
        warm, direct = (lines[f"{engine}, {way}"] for way in ("page cache, warm", "O_DIRECT"))
        assert warm.get_color() == direct.get_color() and warm.get_linestyle() != direct.get_linestyle()
    assert lines["libaio, O_DIRECT"].get_color() != lines["io_uring, O_DIRECT"].get_color()
    assert lines["libaio, O_DIRECT"].get_marker() != lines["io_uring, O_DIRECT"].get_marker()


def test_sizes_of_two_runs_are_one_line_and_a_setting_measured_twice_is_two() -> None:
    runs = [sweep(sizes=(size,), run=number) for number, size in enumerate((4096, 65536, 4096), 1)]
    assert names(pd.concat(runs[:2])) == ["libaio", "io_uring"]
    three = ["libaio, runs 1, 2", "io_uring, runs 1, 2", "libaio, run 3", "io_uring, run 3"]
    assert names(pd.concat(runs)) == three


@pytest.mark.parametrize("setting", [{"sizes": (4096, 65536)}, {"depths": (1, 4)}])
def test_a_long_legend_hides_no_line_and_takes_no_room_from_the_picture(setting: dict[str, Any]) -> None:
    runs = [sweep(**setting, run=number, cache=cache) for number, cache in enumerate(["direct", "cold", "warm"] * 3)]
    few, many = whole(draw(runs[0])), whole(draw(pd.concat(runs, ignore_index=True)))
    (legend,) = many.legends
    assert len(legend.get_texts()) == 2 * 9
    top = legend.get_window_extent().y1
    for ax, alone in zip(many.axes, few.axes, strict=True):
        assert ax.get_tightbbox().y0 >= top
        assert ax.get_window_extent().height >= 0.9 * alone.get_window_extent().height


def test_many_rows_have_room_for_their_names() -> None:
    runs = [sweep(run=number, cache=cache) for number, cache in enumerate(["direct", "cold", "warm"] * 5)]
    left, _ = whole(draw(pd.concat(runs, ignore_index=True))).axes
    extents = sorted((label.get_window_extent() for label in left.get_yticklabels()), key=lambda one: one.y0)
    assert all(lower.y1 <= upper.y0 for lower, upper in pairwise(extents))


def test_what_an_io_costs_is_drawn_too_where_nobody_could_watch() -> None:
    columns = ["engine", "calls_per_io", "sleeps_per_io", "cpu_ns_per_io"]
    parts = whole(draw(sweep(sleeps_per_io=float("nan"))[columns])).axes
    assert [part.get_xlabel() for part in parts] == [schema.label(column) for column in columns[1:]]


def test_each_io_is_a_bar_in_its_lane() -> None:
    sync, uring = whole(draw(lanes(30, 10))).axes
    assert len(sync.collections) == len(uring.collections) == 2
    assert sync.get_title(loc="right") == "at most 2 in flight at once; all done at 30 ns"
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
    assert [text.get_text() for text in ax.texts] == ["8 µs; 23 of 23 handed to a worker"]
