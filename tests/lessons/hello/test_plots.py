# SPDX-License-Identifier: Apache-2.0
"""Lesson 01's plot: what is drawn is what the frame holds."""

from __future__ import annotations

from labkit import schema
from labkit.lessons import hello
from labkit.notebook.plotting import style


def test_each_event_is_a_mark_in_the_row_of_its_process() -> None:
    frame = schema.frame(
        {"time_ns": [10, 20, 30], "pid": [7, 8, 7], "comm": ["a", "b", "a"], "phase": ["during", "during", "after"]}
    )
    ax = hello.plot(frame, style.figure().subplots())
    marks = {line.get_label(): [(float(x), float(y)) for x, y in line.get_xydata()] for line in ax.lines}
    assert marks == {"during": [(0, 0), (10, 1)], "after": [(20, 0)]}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a 7", "b 8"]


def test_the_busiest_processes_are_drawn_and_the_rest_is_counted() -> None:
    pids = [pid for pid in range(20) for _ in range(pid + 1)]
    ax = hello.plot(schema.frame({"time_ns": range(len(pids)), "pid": pids}), style.figure().subplots())
    assert len(ax.get_yticklabels()) == 16
    assert "4 quieter ones" in ax.get_title(loc="left")


def test_many_processes_of_one_name_share_a_row() -> None:
    frame = schema.frame({"time_ns": range(23), "pid": range(23), "comm": ["child"] * 23})
    ax = hello.plot(frame, style.figure().subplots())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["child"]
    assert len(ax.lines[0].get_xydata()) == 23


def test_events_without_a_phase_are_told_apart_by_path() -> None:
    frame = schema.frame({"time_ns": [1, 2], "pid": [7, 8], "path": ["secret.txt", "notes.txt"]})
    ax = hello.plot(frame, style.figure().subplots())
    assert [line.get_label() for line in ax.lines] == ["secret.txt", "notes.txt"]


def test_counts_become_bars_with_their_number_beside_what_was_done() -> None:
    frame = schema.frame({"phase": ["before", "during", "after"], "runs": [23, 23, 23], "count": [0, 23, 0]})
    ax = hello.plot(frame, style.figure().subplots())
    assert [bar.get_height() for bar in ax.patches] == [23, 23, 23, 0, 23, 0]
    assert [text.get_text() for text in ax.texts] == ["23", "23", "23", "0", "23", "0"]


def test_counts_alone_are_bars_too() -> None:
    frame = schema.frame({"phase": ["during"], "count": [23]})
    assert [bar.get_height() for bar in hello.plot(frame, style.figure().subplots()).patches] == [23]


def test_in_a_plain_cell_it_makes_its_own_figure() -> None:
    import matplotlib.pyplot as plt

    ax = hello.plot(schema.frame({"phase": ["during"], "count": [23]}))
    assert ax.get_figure().number in plt.get_fignums()
    plt.close("all")
