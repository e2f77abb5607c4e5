# SPDX-License-Identifier: Apache-2.0
"""Lesson 09, as a learner runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner.learner import Followed, follow

pytestmark = pytest.mark.bpf

FACTS = """(lambda by_shortcut: {
    "recorded": any(frame.attrs.get("recorded") for frame in (proof, trips, streams, intact, redis)),
    "redirects are messages": [
        bool((frame.loc[by_shortcut(frame), "redirects"] == frame.loc[by_shortcut(frame), "messages"]).all())
        for frame in (proof, trips, streams)
    ],
    "others are untouched": [
        int(frame.loc[~by_shortcut(frame), "redirects"].sum()) for frame in (proof, trips, streams, redis)
    ],
    "left to tcp": [int(frame["misses"].sum()) for frame in (proof, trips, streams, intact, redis)],
    "segments": int(proof.loc[by_shortcut(proof), "data_segments"].sum()),
    "bytes": intact[["sent_bytes", "received_bytes", "wrong_bytes"]].iloc[0].tolist(),
    "arms of Redis": sorted(redis["arm"].unique()),
})(lambda frame: frame["arm"].str.startswith("TCP + sockmap"))"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("09-sockmap", FACTS, folder)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_nothing_of_it_is_a_recording(lesson: Followed) -> None:
    assert lesson.facts["recorded"] is False


def test_each_message_takes_the_shortcut_and_nobody_elses_does(lesson: Followed) -> None:
    assert lesson.facts["redirects are messages"] == [True] * 3
    assert lesson.facts["others are untouched"] == [0] * 4
    assert lesson.facts["left to tcp"] == [0] * 5
    assert lesson.facts["segments"] == 0


def test_every_byte_arrives(lesson: Followed) -> None:
    assert lesson.facts["bytes"] == [100_000_000, 100_000_000, 0]


def test_redis_is_compared_by_three_ways_and_against_itself(lesson: Followed) -> None:
    assert lesson.facts["arms of Redis"] == ["TCP", "TCP + sockmap", "TCP + sockmap (again)", "Unix socket"]


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) >= 3
    assert lesson.solved == sorted(lesson.questions)


def test_the_programs_to_begin_with_are_wrong_as_the_text_says(lesson: Followed) -> None:
    assert "Wrong in the case: both ends in the map" in lesson.starts["09-q5"]
    assert "kinds_of was refused" in lesson.starts["09-q6"]


def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []
