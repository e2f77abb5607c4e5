# SPDX-License-Identifier: Apache-2.0
"""Lesson 10's plots: what is drawn is what the frames hold."""

from __future__ import annotations

from itertools import pairwise

import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from labkit import schema
from labkit.lessons import capstone
from labkit.notebook.plotting import style


def fresh() -> Axes:
    return style.figure().subplots()


def arm(name: str, batch: int = 1) -> dict[str, object]:
    return {"arm": name, "rows_per_transaction": batch, "transactions": 10, "rows": 10 * batch, "stored_rows": 0}


def sqlite(*arms: dict[str, object]):
    """100 us of each part, of which there are a thousand: 1 ms watched, ten transactions; 0.9 ms unwatched."""
    parts = [("fdatasync", "journal"), ("fsync", "folder"), ("unlink", "–"), ("fcntl", "database"), ("pwrite64", "log")]
    rows = []
    for each in arms:
        for number in range(2):
            whole = {**each, "slice": number, "call": "(transaction)", "file": "–", "count": 10}
            for watched, total_ns in ((False, 900_000), (True, 1_000_000)):
                times = {"ns_per_transaction": total_ns / 10, "ns_per_row": total_ns / each["rows"]}
                rows.append({**whole, "watched": watched, "total_ns": total_ns, **times})
            rows += [
                {**each, "slice": number, "watched": True, "call": call, "file": file, "count": 10, "total_ns": 100_000}
                | {"calls_per_transaction": 1.0, "p50_ns": 10_000.0, "p99_ns": float("nan"), "written_bytes": 0.0}
                for call, file in parts
            ]
    return schema.frame(rows, baseline=str(arms[0]["arm"]), warnings=[])


def widths(ax: Axes) -> dict[str, list[float]]:
    return {bar.get_label(): [one.get_width() for one in bar] for bar in ax.containers if isinstance(bar, BarContainer)}


def test_the_parts_of_a_transaction_add_up_to_its_time() -> None:
    ax = capstone.plot(sqlite(arm("delete/full"), arm("wal/full")), fresh())
    assert widths(ax) == {
        "sync the journal": [10_000, 10_000],
        "sync the folder": [10_000, 10_000],
        "open, close, unlink": [10_000, 10_000],
        "other calls": [20_000, 20_000],
        "outside of calls": [50_000, 50_000],
    }
    assert [text.get_text() for text in ax.texts] == ["90 µs", "90 µs"]  # unwatched
    assert ax.get_xlabel().startswith("time per transaction; diamond and number: unwatched")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["delete/full", "wal/full"]


def test_rows_that_are_committed_together_are_compared_by_the_row() -> None:
    ax = capstone.plot(sqlite(arm("delete/full"), arm("delete/full with 10 rows at once", 10)), fresh())
    assert widths(ax)["sync the journal"] == [10_000, 1_000]
    assert [text.get_text() for text in ax.texts] == ["90 µs", "9 µs"]
    assert ax.get_xlabel().startswith("time per row;")


def test_many_arms_make_the_picture_higher_so_that_no_name_covers_another() -> None:
    ax = capstone.plot(sqlite(*(arm(f"arm {number}") for number in range(32))), fresh())
    drawn = ax.get_figure()
    drawn.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert len(boxes) == 32
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))


def test_a_part_looks_the_same_in_every_picture_and_by_more_than_colour() -> None:
    looks = style.bars(range(7)).values()
    assert len({look["hatch"] for look in looks}) == len({look["facecolor"] for look in looks}) == 7
    one, other = (capstone.plot(sqlite(arm(name)), fresh()) for name in ("delete/full", "wal/full"))
    drawn = [
        {bar.get_label(): bar[0].get_hatch() for bar in ax.containers if isinstance(bar, BarContainer)}
        for ax in (one, other)
    ]
    assert drawn[0] == drawn[1]


def test_a_transaction_is_lanes_of_files() -> None:
    rows = [
        {"arm": "wal/full", "time_ns": 10, "call": "pwrite64", "file": "log", "latency_ns": 5, "returned": 24},
        {"arm": "wal/full", "time_ns": 20, "call": "fdatasync", "file": "log", "latency_ns": 900, "returned": 0},
        {"arm": "delete/full", "time_ns": 10, "call": "fdatasync", "file": "database", "latency_ns": 7, "returned": 0},
        {"arm": "delete/full", "time_ns": 30, "call": "unlink", "file": "–", "latency_ns": 40, "returned": 0},
    ]
    capstone.plot(schema.frame(rows), ax := fresh())
    upper, lower = ax.get_figure().axes if ax.get_figure() else capstone.plot(schema.frame(rows)).get_figure().axes
    assert upper.get_title(loc="left") == "wal/full: 2 calls, syncs: 1"
    assert [label.get_text() for label in lower.get_yticklabels()] == ["database", "no file"]
    bars = sorted((patch.get_x(), patch.get_width()) for patch in upper.patches)
    assert bars == [(10, 5), (20, 900)]
    assert lower.get_xlim()[0] < 0 and lower.get_xlabel() == "time since the transaction began, in µs"
    assert {patch.get_hatch() for patch in upper.patches} == {None}
    (legend,) = upper.get_figure().legends
    kinds = {text.get_text(): type(drawn) for text, drawn in zip(legend.texts, legend.legend_handles, strict=True)}
    assert kinds == {"sync": Rectangle, "write": Line2D, "open, close, unlink": Line2D}


def redis():
    rows = []
    for batch in (1, 10):
        arm = f"50 clients with pipeline {batch}"
        slice_ = {"arm": arm, "slice": 0, "requests": 1000, "file": "–", "total_ns": 10**8}
        for watched in (False, True):
            rows.append({**slice_, "watched": watched, "call": "(request)", "count": 1000, "requests_per_s": 1e4})
        rows += [
            {**slice_, "watched": True, "call": call, "count": 1000 // batch, "calls_per_request": 1 / batch}
            | {"p50_ns": 1.0, "p99_ns": 1.0, "written_bytes": 0.0}
            for call in ("read", "write")
        ]
    return schema.frame(rows, baseline="50 clients with pipeline 1", warnings=[])


def test_the_calls_of_a_request_are_stacked() -> None:
    ax = capstone.plot(redis(), fresh())
    assert widths(ax) == {"read": pytest.approx([1.0, 0.1]), "write": pytest.approx([1.0, 0.1])}
    assert [text.get_text() for text in ax.texts] == ["2.000", "0.200"]


def test_syncs_are_drawn_next_to_answers() -> None:
    frame = schema.frame(
        {
            "arm": ["1 client with pipeline 1 and sync always", "50 clients with pipeline 1 and sync always"],
            "requests": [1000, 1000],
            "requests_per_s": [900.0, 9000.0],
            "low_per_s": [800.0, 7000.0],
            "high_per_s": [1000.0, 9500.0],
            "calls_per_request": [5.0, 3.0],
            "syncs_per_request": [1.0, 0.04],
        }
    )
    left = capstone.plot(frame, fresh())
    right = left.get_figure().axes[1]
    assert [bar.get_width() for bar in left.patches] == [1.0, 0.04]
    assert [bar.get_width() for bar in right.patches] == [900, 9000]
    (lines,) = right.containers[1].lines[2]
    assert [line[:, 0].tolist() for line in lines.get_segments()] == [[800, 1000], [7000, 9500]]


@pytest.mark.parametrize("frame", [sqlite(arm("wal/full")), redis()], ids=["sqlite", "redis"])
def test_a_recording_says_so(frame) -> None:
    frame.attrs.update(recorded=True, kernel="5.10.0")
    assert "RECORDED on kernel 5.10.0" in capstone.plot(frame, fresh()).get_title(loc="left")
