# SPDX-License-Identifier: Apache-2.0
"""Each frame of lesson 02 gets its own picture, which shows the frame's numbers."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from labkit import schema
from labkit.lessons.maps.plots import plot
from labkit.notebook.plotting import style


def drawn(frame: pd.DataFrame) -> Any:
    return plot(frame, style.figure().subplots()).get_figure()


def _like(frame: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    made = frame.assign(**columns)
    made.attrs = frame.attrs
    return made


def widths(ax: Any) -> list[float]:
    return [bar.get_width() for bar in ax.patches]


RACE = schema.frame(
    {
        "arm": ["no program", "array", "per-CPU array", "no program (again)"],
        "slice": [0] * 4,
        "threads": [2] * 4,
        "calls": [1000] * 4,
        "count": [0, 970, 1000, 0],
        "lost_updates": [0, 30, 0, 0],
        "ns_per_call": [200.0, 400.0, 410.0, 201.0],
    },
    baseline="no program",
)
CHANNELS = schema.frame(
    {
        "arm": ["no channel", "ring buffer", "perf buffer"],
        "slice": [0] * 3,
        "threads": [1] * 3,
        "room_bytes": [0, 8192, 8192],
        "records": [100] * 3,
        "received": [0, 60, 40],
        "lost_events": [0, 40, 60],
        "ns_per_call": [200.0, 300.0, 400.0],
    },
    baseline="no channel",
)
FULL = schema.frame(
    {
        "arm": ["hash", "LRU hash"],
        "entries": [64] * 2,
        "keys": [97] * 2,
        "calls": [97] * 2,
        "kept": [64, 49],
        "count": [64, 49],
        "refused": [33, 0],
        "low_bytes": [1, 49],
        "high_bytes": [64, 97],
    }
)


def test_lost_updates_are_bars_and_each_slice_is_a_mark() -> None:
    left, right = drawn(RACE).axes
    assert widths(left) == [30, 0]
    assert [label.get_text() for label in left.get_yticklabels()] == ["array", "per-CPU array"]
    assert [label.get_text() for label in right.get_yticklabels()][:2] == ["no program", "no program (again)"]


def names(ax: Any) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_an_arm_has_one_colour_in_both_halves() -> None:
    left, right = drawn(RACE).axes
    marks = {name: line.get_color() for name, line in zip(names(right), right.lines[::2], strict=True)}
    bars = {name: to_hex(bar.get_facecolor()) for name, bar in zip(names(left), left.patches, strict=True)}
    assert {arm: marks[arm].lower() for arm in bars} == bars


def test_lost_records_are_shown_as_a_share() -> None:
    _, right = drawn(CHANNELS).axes
    assert widths(right) == pytest.approx([60, 40])
    assert [label.get_text() for label in right.get_yticklabels()] == ["perf buffer", "ring buffer"]


def test_every_event_of_a_full_map_is_in_a_bar() -> None:
    (ax,) = drawn(FULL).axes
    assert widths(ax) == [64, 49, 0, 48, 33, 0]


def test_histograms_keep_empty_bars_and_draw_what_is_outside_hollow() -> None:
    frame = schema.frame(
        {
            "histogram": ["log2"] * 2 + ["linear"] * 3,
            "low_bytes": [128, 1024, 600, 800, 1000],
            "high_bytes": [255, 2047, 699, 899, 1 << 20],
            "count": [7, 2, 3, 4, 2],
        }
    )
    log2, linear = drawn(frame).axes
    assert [bar.get_height() for bar in log2.patches] == [7, 0, 0, 2]
    assert [bar.get_height() for bar in linear.patches] == [3, 0, 4, 2]
    hollow = [bar.get_facecolor()[:3] == (1.0, 1.0, 1.0) for bar in linear.patches]
    assert hollow == [False, False, False, True]
    names = [label.get_text() for label in linear.get_xticklabels()]
    assert names == ["600–699", "700–799", "800–899", "above"]


def test_many_bars_are_labelled_with_their_smallest_size_alone() -> None:
    frame = schema.frame(
        {
            "histogram": ["log2"] * 2 + ["linear"],
            "low_bytes": [1, 1 << 19, 64],
            "high_bytes": [1, (1 << 20) - 1, 127],
            "count": [7, 2, 9],
        }
    )
    log2, _ = drawn(frame).axes
    assert len(log2.patches) == 20
    assert [label.get_text() for label in log2.get_xticklabels()][:3] == ["1", "8", "64"]


def test_where_no_update_was_lost_the_axis_begins_at_zero() -> None:
    left, _ = drawn(_like(RACE, lost_updates=0)).axes
    assert left.get_xlim() == (0, 1)


def test_pairs_have_one_picture_for_each_key() -> None:
    frame = schema.frame(
        {
            "key": ["thread", "one slot"],
            "time_ns": [1, 2],
            "tid": [7, 8],
            "asked_ns": [10, 10],
            "latency_ns": [11, 5],
            "cpu": [0, 1],
        }
    )
    assert [ax.get_title(loc="left").split(" (")[0] for ax in drawn(frame).axes] == ["Key: thread", "Key: one slot"]


def test_order_has_one_picture_for_each_channel() -> None:
    frame = schema.frame(
        {
            "arm": ["ring buffer", "perf buffer"],
            "arrived": [0, 0],
            "event_number": [1, 2],
            "cpu": [0, 1],
            "time_ns": [1, 2],
        }
    )
    assert [ax.get_title(loc="left") for ax in drawn(frame).axes] == ["ring buffer", "perf buffer"]


def test_each_cpu_has_a_bar() -> None:
    (ax,) = drawn(schema.frame({"cpu": [0, 1], "count": [23, 29]})).axes
    assert widths(ax) == [23, 29]
