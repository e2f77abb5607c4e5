# SPDX-License-Identifier: Apache-2.0
"""Lesson 08, as a learner runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner.learner import Followed, follow

pytestmark = pytest.mark.bpf

FACTS = """{
    "readers": readers[["crc32", "file_crc32", "ios", "sqes", "calls", "submits", "waits"]].to_dict("records"),
    "last": steps[["sq_head", "sq_tail", "cq_head", "cq_tail"]].iloc[-1].tolist(),
    "batches": batches[["batch", "watched_ios", "submits", "waits", "wakes"]].to_dict("records"),
    "sqpoll": costs[["arm", "watched_ios", "submits", "by_program", "by_sqpoll"]].to_dict("records"),
    "registered": sorted(registered["arm"].unique()),
    "workers": workers.set_index("arm")[["ios", "punted", "workers"]].to_dict("index"),
    "tour": tour[["calls", "seen_calls"]].to_dict("list"),
    "per_file": many.groupby("arm")["calls_per_file"].first().to_dict(),
    "clocks": clocks["asked_ns"].tolist()[:-1],
}"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("08-uring", FACTS, folder)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_both_readers_bring_the_files_bytes_and_their_calls_are_counted(lesson: Followed) -> None:
    for reader in lesson.facts["readers"]:
        assert reader["crc32"] == reader["file_crc32"]
        assert reader["sqes"] == reader["ios"] == 25
        assert reader["submits"] + reader["waits"] == reader["calls"]


def test_heads_and_tails_meet_at_the_end(lesson: Followed) -> None:
    assert lesson.facts["last"] == [12] * 4


def test_a_batch_is_a_call(lesson: Followed) -> None:
    for row in lesson.facts["batches"]:
        assert row["submits"] == -(-row["watched_ios"] // row["batch"])
        assert row["waits"] == row["wakes"] == 0


def test_under_sqpoll_another_thread_submits(lesson: Followed) -> None:
    program, *others, again = lesson.facts["sqpoll"]
    assert (program["by_program"], program["by_sqpoll"]) == (program["watched_ios"], 0)
    assert others and again["arm"] == "the program (again)"
    for row in others:
        assert (row["submits"], row["by_program"], row["by_sqpoll"]) == (0, 0, row["watched_ios"])


def test_registering_is_compared_with_an_a_a_arm(lesson: Followed) -> None:
    assert lesson.facts["registered"] == ["both", "buffers", "files", "nothing", "nothing (again)"]


def test_workers_are_seen_where_they_are_asked_for(lesson: Followed) -> None:
    asked = lesson.facts["workers"]["page cache with workers asked for"]
    assert asked["punted"] == asked["ios"] and asked["workers"] >= 1


def test_the_tour_is_counted_and_chains_save_calls(lesson: Followed) -> None:
    assert lesson.facts["tour"]["calls"] == lesson.facts["tour"]["seen_calls"]
    assert lesson.facts["per_file"]["plain"] == 3
    assert lesson.facts["per_file"]["io_uring"] < 0.1


def test_clocks_ring_in_order(lesson: Followed) -> None:
    assert lesson.facts["clocks"] == sorted(lesson.facts["clocks"])


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) == 6
    assert lesson.solved == sorted(lesson.questions)


def test_the_programs_to_begin_with_are_wrong_as_the_text_says(lesson: Followed) -> None:
    assert "Wrong in the case: a batch" in lesson.starts["08-q5"]
    assert "Wrong in the case: one kind of request" in lesson.starts["08-q6"]


def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []
