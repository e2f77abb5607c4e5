# SPDX-License-Identifier: Apache-2.0
"""Lesson 08's plots: what is drawn is what the frames hold."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.axes import Axes

from labkit import schema
from labkit.lessons import uring
from labkit.notebook.plotting import style


def fresh() -> Axes:
    return style.figure().subplots()


def slices(arm: str, own: float = 100.0, other: float = 0.0, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "arm": arm,
            "slice": number,
            "ios": 64,
            "p50_ns": 1.0,
            "ios_per_s": 1e6,
            "program_cpu_ns_per_io": own,
            "kernel_cpu_ns_per_io": other,
            "cpu_ns_per_io": own + other,
            **more,
        }
        for number in range(3)
    ]


def batches(**more: Any) -> Any:
    rows = []
    for who, (calls, other) in {"program": (1.0, 0.0), "iou-sqp": (0.0, 50.0)}.items():
        for size in (1, 8, 64):
            setting = {"submitter": who, "batch": size, "block_bytes": 4096, "registered": "nothing"}
            counts = {"calls": 64 // size, "calls_per_io": calls / size}
            rows += slices(f"{who}, batch {size}", 100.0, other, **setting, **counts)
    again = {"submitter": "program", "batch": 1, "block_bytes": 4096, "registered": "nothing"}
    rows += slices("program with batch 1 (again)", 100.0, **again, calls=64, calls_per_io=1.0)
    return schema.frame(rows, **more)


def test_calls_fall_beside_the_line_of_one_by_batch_and_none_is_said() -> None:
    ax = uring.plot(batches(), fresh())
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn["program"] == drawn["1 / batch"] == [[1, 1], [8, 1 / 8], [64, 1 / 64]]
    assert drawn["iou-sqp"] == []  # a logarithmic axis has no zero: the title says so
    assert "none by iou-sqp" in ax.get_title(loc="left")
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_where_nobody_watched_the_programs_own_count_is_drawn_and_named() -> None:
    frame = batches()
    frame["calls_per_io"] = float("nan")
    ax = uring.plot(frame, fresh())
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn["program"] == drawn["iou-sqp"] == [[1, 1], [8, 1 / 8], [64, 1 / 64]]
    assert ax.get_title(loc="left") == "Calls per I/O, counted by the program"


def test_the_cpu_time_of_both_threads_is_next_to_the_calls_with_each_slice() -> None:
    left = uring.plot(batches(), fresh())
    right = next(one for one in left.get_figure().axes if one is not left)
    medians = {line.get_label(): line.get_ydata().tolist() for line in right.lines}
    assert (medians["program"], medians["iou-sqp"]) == ([100] * 3, [150] * 3)
    marks = [len(line.get_ydata()) for line in right.lines if line.get_marker() == "_"]
    assert marks == [3 * 3 + 3, 3 * 3]  # the A/A arm's too
    assert right.get_ylabel() == schema.label("cpu_ns_per_io")


def test_costs_far_apart_have_a_logarithmic_axis_and_an_outlier_an_arrow_at_the_edge() -> None:
    near, far = batches(), batches()
    near.loc[0, "cpu_ns_per_io"] = 9000.0  # one of three slices: the median stays
    far.loc[far["submitter"] == "iou-sqp", "cpu_ns_per_io"] = 9000.0
    drawn = []
    for frame in (near, far):
        left = uring.plot(frame, fresh())
        drawn.append(next(one for one in left.get_figure().axes if one is not left))
    assert [ax.get_yscale() for ax in drawn] == ["linear", "log"]
    arrows = [
        line.get_ydata().tolist() for line in drawn[0].lines if line.get_marker() == "^" and len(line.get_xdata())
    ]
    wide = [ax.get_tightbbox().width / ax.get_figure().bbox.width for ax in drawn]
    assert all(0.2 < share < 0.8 for share in wide)  # what is drawn outside of the axes takes no room from them
    assert [240.0] in arrows and drawn[0].get_ylim() == (0, 240.0)


def test_runs_of_the_panel_are_told_apart() -> None:
    frame = batches()
    frame["run"] = frame["submitter"].map({"program": 1, "iou-sqp": 2})
    labels = [line.get_label() for line in uring.plot(frame, fresh()).lines]
    assert labels == ["program / run 1", "iou-sqp / run 2", "1 / batch"]


def test_the_cpu_time_of_both_threads_is_stacked() -> None:
    rows = [
        *slices("the program", 900.0, 0.0, by_sqpoll=0, calls=2),
        *slices("iou-sqp on its own CPU", 100.0, 1500.0, by_sqpoll=1, calls=0),
    ]
    left = uring.plot(schema.frame(rows), fresh())
    spans = sorted((bar.get_y(), bar.get_x(), bar.get_width()) for bar in left.patches)
    assert [(x, width) for _, x, width in spans] == [(0, 900), (900, 0), (0, 100), (100, 1500)]
    assert {text.get_text() for text in left.texts} == {"900 ns", "1.6 µs"}


def test_savings_are_ratios_by_block_size_with_the_a_a_arm_next_to_them() -> None:
    rows = [
        {"block_bytes": size, "arm": arm, "slice": number, "cpu_ns_per_io": value + number}
        for size in (512, 65536)
        for arm, value in (("nothing", 100.0), ("buffers", 90.0), ("files", 80.0), ("nothing (again)", 100.0))
        for number in range(3)
    ]
    ax = uring.plot(schema.frame(rows), fresh())
    assert [text.get_text() for text in ax.get_yticklabels()] == ["512 B", "64 KiB"]
    assert ax.get_legend_handles_labels()[1] == ["buffers", "files", "nothing (again)"]


def test_workers_are_a_part_of_the_reads() -> None:
    rows = [
        {"arm": arm, "filesystem": kind, "ios": 100, "calls": 110, "punted": punted, "workers": workers}
        for arm, kind, punted, workers in (("page cache", "ext4", 0, 0), ("tmpfs", "tmpfs", 100, 1))
    ]
    ax = uring.plot(schema.frame(rows), fresh())
    assert [bar.get_width() for bar in ax.patches] == [100, 0, 0, 100]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["page cache\n(ext4)", "tmpfs"]
    assert "1 worker, 110 calls" in [text.get_text() for text in ax.texts]


def test_every_slice_of_many_files_is_a_mark() -> None:
    rows = [
        {"arm": arm, "slice": number, "value": 1.0, "ns_per_file": 1000.0 * (number + 1)}
        for arm in ("plain", "io_uring", "plain (again)")
        for number in range(3)
    ]
    ax = uring.plot(schema.frame(rows, files=7), fresh())
    marks = [line.get_xdata().tolist() for line in ax.lines if len(line.get_xdata()) == 3]
    assert marks == [[1000, 2000, 3000]] * 3
    assert "7 files" in ax.get_title(loc="left")


@pytest.mark.parametrize("recorded", [False, True])
def test_clocks_leave_out_what_was_not_timed_and_a_recording_says_so(recorded: bool) -> None:
    rows = [
        {"arrived": number, "operation": "timeout", "asked_ns": 1000 * number, "took_ns": took, "result": ""}
        for number, took in ((1, 1100), (2, 2100), (3, -1))
    ]
    ax = uring.plot(schema.frame(rows, recorded=recorded, kernel="6.1"), fresh())
    asked = next(line for line in ax.lines if line.get_label() == "asked for")
    assert asked.get_xdata().tolist() == [1000, 2000]
    assert ("RECORDED" in ax.get_title(loc="left")) == recorded
