# SPDX-License-Identifier: Apache-2.0
"""Lesson 11, as a learner runs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from runner.learner import Followed, follow
from running_kernel import since

pytestmark = pytest.mark.bpf
anywhere = pytest.mark.anywhere
OLD_NAMES = {} if since("6.4") else {"io_uring_submit_req": "io_uring_submit_sqe"}

FACTS = """{
    "recorded": [
        bool(frame.attrs.get("recorded"))
        for frame in (intact, watched, rates, copies, woken, offered, spread, abc, law)
    ],
    "lost": watched.attrs["lost_events"],
    "intact": intact[["arm", "requests", "answered", "wrong_bytes"]].values.tolist(),
    "counts": watched.loc[watched["own_count"] >= 0, ["count", "own_count"]].values.tolist(),
    "calls": {
        f"{row.arm} {row.connections}": row.calls_per_request for row in serve.per_request(watched).itertuples()
    },
    "arms": sorted(rates["arm"].unique()),
    "notifications": copies.loc[copies["arm"] == "zerocopy", ["notifications", "copied_notifications"]].sum().tolist(),
    "woken": woken.loc[woken["threads"] == 16].set_index("arm")["wakeups_per_connection"].to_dict(),
    "offered": offered.loc[offered["loop"] == "open", ["requests", "never_asked"]].values.tolist(),
    "spread": (spread.groupby(["loop", "share", "clock"], dropna=False)["count"].sum().tolist(),
        serve.percentiles(spread).sort_values(["loop", "share", "clock"])["requests"].tolist()),
    "tools": [type(answers).__name__, type(sends).__name__],
    "wrk": by_wrk[["answered", "requests"]].values.tolist(),
}"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("11-serve", FACTS, folder, OLD_NAMES)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_nothing_is_a_recording_but_zero_copy_where_the_kernel_has_none_and_nothing_is_lost(lesson: Followed) -> None:
    assert lesson.facts["recorded"] == [False, False, False, not since("6.0"), False, False, False, False, False]
    assert lesson.facts["lost"] == 0 or since("6.19")  # there the kernel may stop a probe for another process


def test_every_request_of_a_thousand_clients_is_answered_and_every_byte_is_right(lesson: Followed) -> None:
    assert [row[1:] for row in lesson.facts["intact"]] == [[1999, 1999, 0]] * len(lesson.facts["intact"])
    assert {"threads", "epoll", "uring"} <= {row[0] for row in lesson.facts["intact"]}


def test_the_kernel_counts_what_the_server_counts(lesson: Followed) -> None:
    assert lesson.facts["counts"] and all(ours <= its for ours, its in lesson.facts["counts"])
    assert sum(its - ours for ours, its in lesson.facts["counts"]) <= lesson.facts["lost"]


def test_epoll_needs_two_calls_per_request_and_a_ring_with_many_clients_less_than_one(lesson: Followed) -> None:
    calls = lesson.facts["calls"]
    assert all(calls[f"{way} {count}"] >= 2 for way in ("threads", "epoll") for count in (1, 64))
    assert all(calls[each] < 1 for each in ("uring 64", "multishot 64") if each in calls)


@anywhere
def test_the_ways_are_compared_and_epoll_with_itself(lesson: Followed) -> None:
    assert {"epoll", "epoll (again)", "threads"} <= set(lesson.facts["arms"])


def test_on_loopback_each_zero_copy_send_is_copied(lesson: Followed) -> None:
    sent, copied = lesson.facts["notifications"]
    assert copied == (0 if since("6.0") and not since("6.2") else sent)  # no report before 6.2; before 6.0, a recording


def test_one_connection_wakes_sixteen_threads_or_one(lesson: Followed) -> None:
    woken = lesson.facts["woken"]
    assert woken["plain"] > 15 and woken["exclusive"] < 2 and woken["reuseport"] < 2


@anywhere  # a rate: time, which means nothing on an emulated machine
def test_the_lowest_rate_that_is_offered_is_answered(lesson: Followed) -> None:
    answered, never_asked = lesson.facts["offered"][0]  # saturation, at twice the rate: test_measure.py
    assert answered / (answered + never_asked) > 0.9


def test_each_histogram_holds_every_answer(lesson: Followed) -> None:
    counted, answered = lesson.facts["spread"]
    assert counted == answered and len(counted) == 5


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_wrk_counts_what_the_server_counts(lesson: Followed) -> None:
    assert all(0 <= server - wrk <= 64 for server, wrk in lesson.facts["wrk"])


@anywhere
def test_the_learners_tools_are_loaded(lesson: Followed) -> None:
    assert lesson.facts["tools"] == ["NotebookCell"] * 2


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) == 4
    assert lesson.solved == sorted(lesson.questions)


@anywhere
def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []
