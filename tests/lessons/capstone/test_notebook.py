# SPDX-License-Identifier: Apache-2.0
"""Lesson 10, as a learner runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner.learner import Followed, follow

from labkit.lessons._redis import server

pytestmark = pytest.mark.bpf
needs_redis = pytest.mark.skipif(bool(server.why_not()), reason=server.why_not())

FACTS = """(lambda sums, load: {
    "recorded": [bool(frame.attrs.get("recorded")) for frame in (journals, one, witnesses, care, strict, together)],
    "redis recorded": [bool(frame.attrs.get("recorded")) for frame in (redis, shared)],
    "lost": [int(frame.attrs["lost_events"]) for frame in (journals, one, witnesses, care, strict, together)],
    "stored": [frame["rows"].tolist() == frame["stored_rows"].tolist() for frame in sums.values()],
    "syncs": {name: frame.set_index("arm")["syncs_per_transaction"].to_dict() for name, frame in sums.items()},
    "unlinks": journals[journals["call"].isin(["unlink", "unlinkat"])].groupby("arm")["count"].sum().to_dict(),
    "transactions": int(journals[journals["watched"] & (journals["call"] == "(transaction)")]
        .groupby("arm")["transactions"].sum()["delete/full"]),
    "times are unwatched": all(
        frame["watched"].nunique() == 2 and not frame.loc[frame["arm"].str.endswith("(again)"), "watched"].any()
        for frame in (journals, care, strict, together)
    ),
    "witnesses": witnesses[witnesses["call"].isin(["fdatasync", "fsync", "pwrite64", "fcntl", "openat"])]
        [["count", "strace_count"]].to_numpy().tolist(),
    "syncs of redis": load.set_index("arm")["syncs_per_request"].to_dict(),
    "calls of redis": capstone.redis_summary(redis)["calls_per_request"].tolist(),
    "tools": [type(tool).__name__ for tool in (writes, syncs, who, size)],
})({name: capstone.summary(frame) for name, frame in
    {"journals": journals, "care": care, "strict": strict, "together": together}.items()},
   capstone.redis_summary(shared))"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("10-capstone", FACTS, folder)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_nothing_of_it_is_a_recording_and_nothing_is_lost(lesson: Followed) -> None:
    assert lesson.facts["recorded"] == [False] * 6
    assert lesson.facts["lost"] == [0] * 6


def test_a_journal_takes_four_syncs_a_log_one_and_a_careless_log_almost_none(lesson: Followed) -> None:
    syncs, transactions = lesson.facts["syncs"], lesson.facts["transactions"]
    assert syncs["journals"]["delete/full"] == 4
    assert 1 <= syncs["journals"]["wal/full"] <= 1 + 6 / transactions
    assert syncs["care"]["wal/normal"] <= 6 / transactions and syncs["care"]["wal/off"] == 0
    assert syncs["strict"] == {"delete/full": 4, "delete/extra": 5}
    assert set(syncs["together"].values()) == {4}


def test_it_has_watched_and_unwatched_slices_and_an_unwatched_arm_against_itself(lesson: Followed) -> None:
    assert lesson.facts["times are unwatched"] is True


def test_a_journal_is_unlinked_in_each_transaction_and_a_log_in_none(lesson: Followed) -> None:
    transactions = lesson.facts["transactions"]
    assert lesson.facts["unlinks"]["delete/full"] == transactions
    assert lesson.facts["unlinks"]["wal/full"] == 2 * 2  # two slices: the log and its index


def test_the_rows_are_in_the_file_and_strace_counts_the_same(lesson: Followed) -> None:
    assert lesson.facts["stored"] == [True] * 4
    assert len(lesson.facts["witnesses"]) >= 4
    assert all(ours == theirs for ours, theirs in lesson.facts["witnesses"])


@needs_redis
def test_a_pipeline_saves_calls_and_clients_share_syncs(lesson: Followed) -> None:
    assert lesson.facts["redis recorded"] == [False, False]
    single, pipelined = lesson.facts["calls of redis"]
    assert pipelined < single / 4 and single > 2
    syncs = lesson.facts["syncs of redis"]
    assert syncs["1 client with pipeline 1 and sync always"] == 1
    assert 0 < syncs["50 clients with pipeline 1 and sync always"] < 1


def test_the_learners_tools_are_loaded(lesson: Followed) -> None:
    assert lesson.facts["tools"] == ["NotebookCell"] * 4


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) >= 3
    assert lesson.solved == sorted(lesson.questions)


def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []
