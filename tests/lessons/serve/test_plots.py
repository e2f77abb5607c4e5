# SPDX-License-Identifier: Apache-2.0
"""Lesson 11's plots and sentences: what is drawn and said is what the frames hold."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.axes import Axes

from labkit import schema
from labkit.lessons import serve
from labkit.notebook.plotting import style

AGAIN = "epoll (again)"


def fresh() -> Axes:
    return style.figure().subplots()


def rates(**factor: float) -> pd.DataFrame:
    """Return slices in which a way has this many times the rate of epoll."""
    rows = [
        {
            "arm": arm,
            "slice": number,
            "pinning": "cross core",
            "transport": "tcp",
            "connections": connections,
            "message_bytes": 64,
            "requests_per_s": 1000.0 * connections * factor.get(arm, 1.0) * (1 + 0.01 * number),
            "cpu_ns_per_request": 5000.0,
            "own_calls_per_request": 2.0,
        }
        for connections in (1, 16)
        for arm in ("threads", "epoll", "uring", AGAIN)
        for number in range(6)
    ]
    return schema.frame(rows, baseline="epoll")


def test_rates_and_costs_are_drawn_by_connections_without_the_arm_against_itself() -> None:
    last = serve.plot(rates(threads=0.5), fresh())
    left, right = last.get_figure().axes
    drawn = {bar.get_label(): bar.lines[0].get_xydata().tolist() for bar in left.containers}
    assert list(drawn) == ["threads", "epoll", "uring"]
    assert [x for x, _ in drawn["epoll"]] == [1, 16]
    assert drawn["threads"][1][1] == pytest.approx(drawn["epoll"][1][1] / 2)
    assert len(right.containers) == 3


def test_each_ratio_has_its_interval() -> None:
    found = serve.ratios(rates(threads=0.5))
    ax = serve.plot(found, fresh())
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == ["1 × 64 B: threads", "1 × 64 B: uring"]
    assert next(bar.lines[0].get_xdata()[0] for bar in ax.containers) == pytest.approx(0.5)
    assert 1.0 in [line.get_xdata()[0] for line in ax.lines]


@pytest.mark.parametrize(
    ("factor", "truth"),
    [({"uring": 2.0}, "uring"), ({"uring": 0.5, "threads": 0.4}, "epoll"), ({}, "no difference shown")],
)
def test_the_fastest_way_is_the_one_whose_interval_is_above_one(factor: dict[str, float], truth: str) -> None:
    assert serve.fastest(rates(**factor), 16) == truth


def test_a_sentence_says_that_no_difference_was_shown() -> None:
    first, second = serve.compared(rates(threads=0.5), "requests_per_s", "requests per second")
    assert first.startswith("1 connection, 64 B: the requests per second, compared with epoll: threads 0.5 times")
    few = serve.compared(rates(threads=0.5).query("slice < 2"), "requests_per_s", "requests per second")[0]
    assert "threads 0.5 times (range of 2 slices, too few to be sure: 0.5 to 0.5)" in few
    assert "uring 1 times (95 % interval 1 to 1: no difference shown)" in second and AGAIN not in second


def test_calls_are_bars_of_their_kinds() -> None:
    frame = schema.frame(
        {
            "arm": ["threads"] * 3 + ["uring"],
            "connections": [64] * 4,
            "requests": [100] * 4,
            "event": ["recvfrom", "sendto", "sleep", "io_uring_enter"],
            "count": [110, 100, 100, 25],
        }
    )
    ax = serve.plot(frame, fresh())
    assert [bar.get_width() for bar in ax.patches] == [1.1, 0, 1.0, 0, 0, 0.25]
    assert [text.get_text() for text in ax.texts] == [" 2.10", " 0.25"]


def offered() -> pd.DataFrame:
    rows = [
        {
            "loop": loop,
            "share": share,
            "slices": 6,
            "offered_requests_per_s": 1e5 * share * (loop == "open"),
            "requests_per_s": min(1e5 * share, 1e5),
            "p99_ns": late,
            "low_p99_ns": late / 2,
            "high_p99_ns": 2 * late,
            "service_p99_ns": 1e6,
            "low_service_p99_ns": 0.8e6,
            "high_service_p99_ns": 1.1e6,
            "ratio": late / 1e6,
            "low": late / 2e6,
            "high": late / 0.5e6,
        }
        for loop, share, late in (("closed", 1.0, 1e6), ("open", 0.4, 1.5e6), ("open", 1.2, 9e7))
    ]
    return schema.frame(rows)


def test_both_p99s_and_their_intervals_are_drawn_against_the_offered_rate() -> None:
    last = serve.plot(offered(), fresh())
    left, right = last.get_figure().axes
    assert {line.get_label(): line.get_ydata().tolist() for line in left.lines}["answered"] == [4e4, 1e5]
    bars = {bars.get_label(): bars.lines for bars in right.containers}
    marks, _, (ends,) = bars["from when it was sent"]
    assert marks.get_xydata().tolist() == [[4e4, 1e6], [1.2e5, 1e6]]
    assert [segment[:, 1].tolist() for segment in ends.get_segments()] == [pytest.approx([0.8e6, 1.1e6])] * 2
    assert bars["from when it was due"][0].get_ydata().tolist() == [1.5e6, 9e7]
    assert {line.get_label(): line.get_xydata().tolist() for line in right.lines}["closed loop"] == [[1e5, 1e6]]


NO_P99 = {name: float("nan") for name in offered() if name.endswith("p99_ns") or name in ("ratio", "low", "high")}


def test_where_there_were_too_few_requests_the_place_of_the_p99_says_so() -> None:
    right = serve.plot(offered().assign(**NO_P99), fresh())
    style.png(right.get_figure(root=True))
    assert [text.get_text() for text in right.texts] == ["Too few requests for a p99:\ntake longer slices."]
    assert list(right.get_yticks()) == []
    assert not serve.plot(offered(), fresh()).texts


def test_the_sentence_names_the_last_rate_that_was_served_and_how_far_the_p99s_are_apart() -> None:
    said = serve.served(offered())
    assert said.startswith("At 40% of the closed loop's rate the server still answers")
    assert "1.5 times (95 % interval 0.75 to 3: no difference shown). At 120% the p99 is 90 ms" in said
    assert said.endswith("from when it was sent: 90 times (95 % interval 45 to 180).")


def test_the_sentence_says_where_there_were_too_few_requests_for_a_p99() -> None:
    said = serve.served(offered().assign(**NO_P99))
    assert "nan" not in said and "too few requests for a p99" in said


def spread() -> pd.DataFrame:
    """Return three histograms: in the open loop, nine of ten requests waited ten times as long as they were served."""
    kept = {
        ("closed", "sent"): {1000: 1000},
        ("open", "due"): {1000: 100, 10_000: 900},
        ("open", "sent"): {1000: 995, 5000: 5},
    }
    rows = [
        {
            "arm": "epoll",
            "loop": loop,
            "share": 2.0 if loop == "open" else float("nan"),
            "clock": clock,
            "requests": 1000,
            "latency_ns": latency_ns,
            "count": count,
        }
        for (loop, clock), histogram in kept.items()
        for latency_ns, count in histogram.items()
    ]
    return schema.frame(rows)


def test_each_histogram_is_drawn_whole_and_as_the_share_that_took_longer() -> None:
    left, right = serve.plot(spread(), fresh()).get_figure().axes
    names = ["closed", "open at 200%, from when due", "open at 200%, from when sent"]
    bars = {patch.get_label(): patch.get_data().values for patch in left.patches}
    assert list(bars) == names and all(heights.sum() == pytest.approx(1) for heights in bars.values())
    assert sorted(bars[names[1]])[-2:] == pytest.approx([0.1, 0.9])
    longer = {line.get_label(): list(line.get_ydata()) for line in right.lines}
    assert longer[names[1]][0] == pytest.approx(0.9) and longer[names[2]][0] == pytest.approx(0.005)


def test_the_histograms_of_several_ways_are_told_apart() -> None:
    both = pd.concat([spread(), spread().assign(arm="uring")])
    left, _ = serve.plot(both, fresh()).get_figure().axes
    assert [patch.get_label() for patch in left.patches][::3] == ["epoll: closed", "uring: closed"]


def test_the_sentence_says_how_many_requests_a_p99_hides() -> None:
    assert serve.hidden(spread()).endswith("Of the same requests, 90% took longer than that from when they were due.")
    assert "1% of the requests took longer than 1.01 µs from when they were sent" in serve.hidden(spread())
    few = spread().assign(count=lambda frame: frame["count"] // 10)
    assert "too few requests for a p99" in serve.hidden(few)


def test_wrks_rates_are_a_bar_per_way() -> None:
    frame = schema.frame({"generator": ["wrk"] * 2, "arm": ["threads", "epoll"], "requests_per_s": [5e4, 1e5]})
    assert [bar.get_width() for bar in serve.plot(frame, fresh()).patches] == [5e4, 1e5]


def test_wake_ups_and_their_cost_are_drawn_against_the_threads() -> None:
    frame = schema.frame(
        {
            "arm": ["plain", "exclusive"] * 2,
            "threads": [1, 1, 16, 16],
            "wakeups_per_connection": [1.0, 1.0, 16.0, 1.0],
            "cpu_ns_per_connection": [12e3, 12e3, 35e3, 12e3],
        }
    )
    left, right = serve.plot(frame, fresh()).get_figure().axes
    assert {line.get_label(): line.get_ydata().tolist() for line in left.lines} == {
        "plain": [1, 16],
        "exclusive": [1, 1],
    }
    assert right.lines[0].get_xydata().tolist() == [[1, 12e3], [16, 35e3]]
