# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: its plots draw what the frames hold."""

from __future__ import annotations

from labkit import schema
from labkit.lessons.your_program import plot


def test_the_time_in_each_call_is_drawn_by_phase() -> None:
    rows = [{"phase": phase, "call": "read", "total_ns": ns} for phase, ns in (("first", 23), ("second", 7))]
    assert [bar.get_width() for bar in plot(schema.frame(rows)).patches] == [23, 7]


def test_each_connection_of_one_port_has_a_bar() -> None:
    rows = [{"local_port": 80, "remote_port": port, "rtt_ns": ns} for port, ns in ((1023, 97), (1097, 23))]
    drawn = plot(schema.frame(rows))
    assert [bar.get_width() for bar in drawn.patches] == [97, 23]
    assert [label.get_text() for label in drawn.get_yticklabels()] == ["80 to 1023", "80 to 1097"]


def test_stacks_are_a_flame_graph_of_their_time() -> None:
    rows = [{"stack": "main;work", "count": 1, "total_ns": 300}, {"stack": "main;rest", "count": 9, "total_ns": 100}]
    assert sorted(bar.get_width() for bar in plot(schema.frame(rows)).patches) == [0.25, 0.75, 1.0]


def test_a_flame_graph_of_waits_says_time_and_one_of_faults_says_faults() -> None:
    waits = plot(schema.frame([{"stack": "main;rest", "count": 9, "total_ns": 2_000_000}]))
    assert "2 ms off the CPU" in waits.get_title(loc="left") + waits.get_title()
    assert waits.get_xlabel() == "share of the time off the CPU"
    faults = plot(schema.frame([{"fault": "minor", "stack": "main", "count": 9}]))
    assert "9 page faults" in faults.get_title(loc="left") + faults.get_title()


def test_a_narrow_tower_does_not_flatten_the_other_boxes() -> None:
    rows = [{"stack": "main;work", "count": 99}, {"stack": ";".join(["main", *["import"] * 40]), "count": 1}]
    assert [bar.get_width() for bar in plot(schema.frame(rows)).patches] == [1.0, 0.99]


def test_an_empty_frame_says_so() -> None:
    drawn = plot(schema.frame({"call": [], "total_ns": []}))
    assert [text.get_text() for text in drawn.texts] == ["nothing was seen"]


def test_a_long_name_keeps_its_end_and_says_that_it_is_cut() -> None:
    path = "/" + "folder/" * 9 + "file"
    (label,) = plot(schema.frame([{"path": path, "total_ns": 23}])).get_yticklabels()
    assert label.get_text().startswith("…") and path.endswith(label.get_text()[1:]) and len(label.get_text()) == 40
