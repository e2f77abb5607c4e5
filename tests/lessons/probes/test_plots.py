# SPDX-License-Identifier: Apache-2.0
"""Each frame of lesson 04 gets its own picture, and the boxes of a flame graph are as wide as their samples."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from labkit import schema
from labkit.lessons.probes.panels import finding
from labkit.lessons.probes.plots import plot
from labkit.notebook.plotting import style
from labkit.notebook.plotting.flame import boxes

NAN = float("nan")


def drawn(frame: pd.DataFrame) -> Any:
    return plot(frame, style.figure().subplots())


def test_a_mechanism_that_is_missing_says_so_in_its_row() -> None:
    frame = schema.frame(
        {
            "mechanism": ["tracepoint", "kprobe"],
            "calls": [997] * 2,
            "at_entry": [997, 0],
            "at_return": [997, 0],
            "state": ["ok", "missing"],
            "reason": ["", "no kprobes"],
        }
    )
    ax = drawn(frame)
    assert [text.get_text() for text in ax.texts] == ["997 and 997", "missing"]
    assert [bar.get_width() for bar in ax.patches] == [997, 0, 997, 0]


def test_costs_have_a_row_each_and_the_absent_stand_in_the_title() -> None:
    frame = schema.frame(
        {
            "arm": ["tracepoint at entry", "strace", "kprobe"],
            "added_ns": [200.0, 60e3, NAN],
            "low_ns": [190.0, 50e3, NAN],
            "high_ns": [210.0, 70e3, NAN],
            "times_as_long": [2.0, 2e2, NAN],
            "slices": [5, 5, 0],
            "reason": ["", "", "no"],
        }
    )
    ax = drawn(frame)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["tracepoint at entry", "strace"]
    assert "kprobe" in ax.get_title(loc="left")


def test_calls_made_stand_beside_calls_seen() -> None:
    frame = schema.frame(
        {
            "function": ["visible", "hidden"],
            "calls": [23, 23],
            "count": [23, 0],
            "state": ["ok", "refused"],
            "reason": ["", "no symbol"],
        }
    )
    assert [bar.get_height() for bar in drawn(frame).patches] == [23, 23, 23, 0]


def test_naps_are_marks_of_two_kinds() -> None:
    frame = schema.frame(
        {
            "arm": ["decorator", "uprobes"],
            "event_number": [1, 1],
            "argument": [10, 10],
            "returned": [20, 20],
            "latency_ns": [11_000, 12_000],
        }
    )
    assert len(drawn(frame).get_legend().get_texts()) == 2


STACKS = schema.frame(
    {"stack": ["main;apple", "main;pear;plum", "main;pear", "main;read;vfs_read_[k]"], "count": [5, 2, 1, 2]}
)


def test_a_box_is_as_wide_as_the_samples_in_it_and_below() -> None:
    shares = boxes(STACKS).set_index("stack")["share"].to_dict()
    assert shares == pytest.approx(
        {
            "main": 1.0,
            "main;apple": 0.5,
            "main;pear": 0.3,
            "main;pear;plum": 0.2,
            "main;read": 0.2,
            "main;read;vfs_read_[k]": 0.2,
        }
    )


def test_boxes_of_one_row_do_not_overlap() -> None:
    for _, row in boxes(STACKS).groupby("depth"):
        ordered = row.sort_values("left")
        assert (ordered["left"].shift(-1).dropna() >= (ordered["left"] + ordered["share"])[:-1] - 1e-9).all()


def test_a_child_lies_below_its_parent() -> None:
    placed = boxes(STACKS).set_index("stack")
    pear, plum = placed.loc["main;pear"], placed.loc["main;pear;plum"]
    assert plum["depth"] == pear["depth"] + 1
    assert pear["left"] <= plum["left"] and plum["left"] + plum["share"] <= pear["left"] + pear["share"] + 1e-9


def test_the_picture_has_the_boxes_that_can_be_seen() -> None:
    ax = drawn(STACKS)
    assert len(ax.patches) == 6
    assert "10 samples" in ax.get_title(loc="left")


def test_no_samples_is_no_error() -> None:
    assert len(drawn(schema.frame({"stack": [], "count": []})).patches) == 0


@pytest.mark.parametrize(("high_ns", "said"), [(210.0, "uprobe at entry the most"), (990.0, "no difference was shown")])
def test_the_panel_says_when_no_difference_was_shown(high_ns: float, said: str) -> None:
    frame = schema.frame(
        {
            "arm": ["tracepoint at entry", "uprobe at entry"],
            "added_ns": [200.0, 1000.0],
            "low_ns": [190.0, 980.0],
            "high_ns": [high_ns, 1100.0],
            "slices": [6, 6],
        }
    )
    assert said in finding(frame)
