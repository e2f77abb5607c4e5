# SPDX-License-Identifier: Apache-2.0
"""Lesson 09's plots: what is drawn is what the frames hold."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes

from labkit import schema
from labkit.lessons import sockmap
from labkit.notebook.plotting import style

TCP, SHORTCUT, UNIX = "TCP", "TCP + sockmap", "Unix socket"
AGAIN = f"{SHORTCUT} (again)"


def fresh() -> Axes:
    return style.figure().subplots()


def sweep(column: str):
    rows = [
        {"pinning": place, "message_bytes": size, "arm": arm, "slice": number, column: size * (1.0 + number)}
        for place in ("same core", "cross core")
        for size in (64, 4096)
        for arm in (TCP, SHORTCUT, UNIX, AGAIN)
        for number in range(3)
    ]
    return schema.frame(rows)


@pytest.mark.parametrize("column", ["p50_ns", "bytes_per_s"])
def test_medians_are_drawn_by_size_and_one_pinning_beside_the_other(column: str) -> None:
    last = sockmap.plot(sweep(column), fresh())
    left, right = last.get_figure().axes
    assert (left.get_title(loc="left"), right.get_title(loc="left")) == ("same core", "cross core")
    for one in (left, right):
        drawn = [container.lines[0].get_xydata().tolist() for container in one.containers]
        assert drawn == [[[64, 128], [4096, 8192]]] * 3  # the arm against itself is left out
        assert one.get_xscale() == one.get_yscale() == "log"


def test_quartiles_are_the_bars() -> None:
    ax = sockmap.plot(sweep("p50_ns"), fresh())
    _, _, (bars,) = ax.containers[0].lines
    low, high = bars.get_segments()[0][:, 1]
    assert (low, high) == (96, 160)


def test_each_ratio_has_its_interval_and_the_line_is_at_one() -> None:
    frame = schema.frame(
        {
            "pinning": ["same core"] * 3,
            "message_bytes": [64] * 3,
            "arm": [TCP, UNIX, AGAIN],
            "ratio": [1.8, 1.1, 1.0],
            "low": [1.7, 1.0, 0.9],
            "high": [1.9, 1.2, 1.1],
        },
        baseline=SHORTCUT,
    )
    ax = sockmap.plot(frame, fresh())
    drawn = {bar.get_label(): bar for bar in ax.containers}
    assert list(drawn) == [TCP, UNIX, AGAIN]
    _, _, (reach,) = drawn[TCP].lines
    assert np.allclose(reach.get_segments()[0][:, 0], [1.7, 1.9])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["same core, 64 B"]
    assert 1.0 in [line.get_xdata()[0] for line in ax.lines]
    assert ax.get_legend() is None  # it is below the picture: it covers no interval
    assert [tick.get_text() for tick in ax.get_xticklabels() if tick.get_text()][:3] == ["0.25", "0.35", "0.5"]


def test_an_arm_looks_the_same_in_every_picture() -> None:
    ratios = schema.frame(
        {"pinning": ["same core"], "message_bytes": [64], "arm": [UNIX], "ratio": [1.1], "low": [1.0], "high": [1.2]}
    )
    by_size = sockmap.plot(sweep("p50_ns"), fresh()).containers
    here = {bar.get_label(): bar.lines[0].get_color() for bar in by_size}
    assert sockmap.plot(ratios, fresh()).containers[0].lines[0].get_color() == here[UNIX]


def test_where_the_messages_went_is_three_bars_an_arm() -> None:
    frame = schema.frame(
        {"arm": [TCP, SHORTCUT], "messages": [997, 997], "redirects": [0, 997], "lo_packets": [1005, 6]}
    )
    ax = sockmap.plot(frame, fresh())
    assert [bar.get_width() for bar in ax.patches] == [997, 997, 0, 997, 1005, 6]
    assert [text.get_text() for text in ax.texts] == ["997", "997", "0", "997", "1,005", "6"]


def test_redis_answers_are_bars_by_setting() -> None:
    rows = [
        {"pinning": "same core", "pipeline": batch, "arm": arm, "slice": number, "requests_per_s": 1000.0 * batch}
        for batch in (1, 16)
        for arm in (TCP, SHORTCUT, UNIX)
        for number in range(2)
    ]
    ax = sockmap.plot(schema.frame(rows), fresh())
    assert [bar.get_width() for bar in ax.patches] == [1000, 16000] * 3
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["same core, pipeline 1", "same core, pipeline 16"]


def test_each_window_of_the_switch_is_a_mark_of_its_arm() -> None:
    frame = schema.frame(
        {"elapsed_s": [0.2, 0.4, 0.6], "arm": [TCP, SHORTCUT, TCP], "p50_ns": [14e3, 8e3, 15e3], "p99_ns": [20e3] * 3}
    )
    ax = sockmap.plot(frame, fresh())
    marks = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert marks == {f"{TCP}: median": [[0.2, 14e3], [0.6, 15e3]], f"{SHORTCUT}: median": [[0.4, 8e3]]}
    assert "longer" not in ax.get_title(loc="left")
    cut = sockmap.plot(frame.assign(p99_ns=[2e6, 20e3, 3e6]), fresh())
    assert "2 of 3 lines are longer than the picture" in cut.get_title(loc="left")


def test_the_way_of_a_message_has_each_layer_on_both_sides() -> None:
    words = [text.get_text() for text in sockmap.plot_path(fresh()).texts]
    assert words.count("socket") == words.count("IP: routes") == 2
    assert any("shortcut" in word for word in words)
