# SPDX-License-Identifier: Apache-2.0
"""Lesson 05's plots: what is drawn is what the frame holds."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer

from labkit import schema
from labkit.lessons import usdt
from labkit.lessons.usdt.panels import finding
from labkit.notebook.plotting import style


def requests(*probes: str, latency_ns: int = 20_000) -> pd.DataFrame:
    rows = [
        {
            "time_ns": 10 * number,
            "pid": 7,
            "probe": probe,
            "request": number,
            "text": "",
            "body_bytes": 0,
            "status": -2 if number % 7 == 0 else 200,
            "latency_ns": latency_ns if probe == "request_done" else 0,
            "fired": 14,
        }
        for number in range(1, 15)
        for probe in probes
    ]
    return schema.frame(rows, work_ns=20_000)


def drawn(frame: pd.DataFrame) -> object:
    return usdt.plot(frame, style.figure().subplots())


def test_each_request_is_a_mark_and_the_failed_ones_differ() -> None:
    ax = drawn(requests("request_start", "request_done"))
    marks = {line.get_label(): len(line.get_xdata()) for line in ax.lines}
    assert marks == {"served": 12, "failed": 2, "the work you set": 2}
    assert ax.get_yscale() == "linear"


def test_an_outlier_gets_a_logarithmic_axis() -> None:
    frame = requests("request_done")
    frame.loc[0, "latency_ns"] = 20_000_000
    assert drawn(frame).get_yscale() == "log"


def test_without_any_work_the_axis_begins_at_the_latencies() -> None:
    frame = requests("request_done")
    frame.loc[0, "latency_ns"] = 20_000_000
    frame.attrs["work_ns"] = 0
    ax = drawn(frame)
    assert 1_000 < ax.get_ylim()[0] < 20_000
    assert "the work you set" not in [line.get_label() for line in ax.lines]


def test_a_panel_without_latencies_says_which_probe_has_them() -> None:
    assert "choose request_done" in finding(requests("request_start"))


def test_probes_without_a_latency_are_rows_of_marks() -> None:
    ax = drawn(requests("request_start", "request_detail"))
    assert [len(line.get_xdata()) for line in ax.lines] == [14, 14]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["request_start", "request_detail"]


def test_both_counts_of_a_histogram_are_drawn() -> None:
    ax = drawn(schema.frame({"latency_ns": [100, 200], "count": [3, 5], "fired": [3, 5]}))
    assert [line.get_ydata().tolist() for line in ax.lines] == [[3, 5], [3, 5]]


def test_the_cost_says_what_each_arm_adds() -> None:
    rows = [
        {"arm": arm, "slice": number, "value": value}
        for number in range(4)
        for arm, value in {"no probe": 2.0, "no probe (again)": 2.0, "idle": 2.1, "traced": 1002.0}.items()
    ]
    ax = drawn(schema.frame(rows, baseline="no probe"))
    assert [text.get_text() for text in ax.texts] == ["+1000 ns"]
    assert ax.get_yticklabels()[-1].get_text() == "traced"


def test_calls_are_bars_at_their_depth() -> None:
    frame = schema.frame(
        {
            "time_ns": [0, 10],
            "latency_ns": [100, 50],
            "depth": [1, 2],
            "function": ["outer", "inner"],
            "path": "x.py",
            "line": 1,
            "tid": 7,
        }
    )
    ax = drawn(frame)
    bars = {(bar.get_x(), bar.get_width(), bar.get_y() + bar.get_height() / 2) for bar in ax.patches}
    assert bars == {(0, 100, 1), (10, 50, 2)}
    assert ax.yaxis_inverted()


@pytest.mark.parametrize(
    ("frame", "heights"),
    [
        (
            schema.frame(
                {
                    "pid": [7, 8],
                    "phase": ["traced", "not traced"],
                    "instruction": ["int3", "nop"],
                    "fired": [11, 13],
                    "count": [11, 0],
                }
            ),
            [11, 13, 11, 0],
        ),
        (
            schema.frame({"time_ns": [1, 2, 3], "tid": 7, "probe": ["throw", "catch", "throw"], "exception": [*"aab"]}),
            [1, 1, 1, 0],
        ),
    ],
)
def test_counts_are_bars(frame: pd.DataFrame, heights: list[int]) -> None:
    assert [bar.get_height() for bar in drawn(frame).patches] == heights


def test_the_collector_has_a_mark_for_each_pass() -> None:
    frame = schema.frame({"time_ns": [1, 2, 3], "latency_ns": [5, 6, 7], "generation": [0, 2, 0], "count": 1})
    assert {line.get_label(): len(line.get_xdata()) for line in drawn(frame).lines} == {
        "generation 0": 2,
        "generation 2": 1,
    }


def test_the_semaphores_bars_say_how_often_it_was_prepared_and_have_intervals() -> None:
    frame = schema.frame(
        {
            "arm": ["nobody listens", "somebody listens"],
            "requests": 46,
            "fired": [0, 46],
            "count": [0, 46],
            "p50_ns": [20, 20_000],
            "low_p50_ns": [19, 18_000],
            "high_p50_ns": [22, 23_000],
        }
    )
    ax = drawn(frame)
    said = ["20 ns; prepared 0 times in 46 requests", "20 µs; prepared 46 times in 46 requests"]
    assert [text.get_text() for text in ax.texts] == said
    reaches = [bars.lines[2][0].get_segments() for bars in ax.containers if isinstance(bars, ErrorbarContainer)]
    assert [ends[:, 0].tolist() for (ends,) in reaches] == [[19, 22], [18_000, 23_000]]


def test_the_panels_sentence_sets_both_counts_side_by_side() -> None:
    said = finding(requests("request_done"))
    assert "request_done 14 times (the program: 14)" in said
    assert "20 µs" in said


def test_the_panel_offers_iterations_work_and_probes() -> None:
    assert list(usdt.panel().controls) == ["requests", "work_ns", "probes"]
