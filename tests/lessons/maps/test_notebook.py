# SPDX-License-Identifier: Apache-2.0
"""Lesson 02, as a learner runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner.learner import Followed, follow

pytestmark = pytest.mark.bpf

FACTS = """{
    "calls": race["calls"].unique().tolist(),
    "exact": race.loc[race["arm"].isin(["atomic array", "per-CPU array"]), "lost_updates"].tolist(),
    "never_too_much": bool((race["lost_updates"] >= 0).all()),
    "slots": int(slots["count"].sum()),
    "pairs_by_thread": int((pairs["key"] == "thread").sum()),
    "too_short": int((pairs["latency_ns"] < pairs["asked_ns"])[pairs["key"] == "thread"].sum()),
    "bars": sizes.groupby("histogram")["count"].agg(list).to_dict(),
    "full": full[["kept", "refused"]].iloc[0].tolist(),
    "lru_refused": int(full["refused"].iloc[1]),
    "ring_order": order.loc[order["arm"] == "ring buffer", "event_number"].tolist() == list(range(1, 63)),
    "all_arrived": bool((sent["received"] == sent["records"])[sent["room_bytes"] > 0].all()),
    "none_in_silence": bool((busy["received"] + busy["lost_events"] == 2003)[busy["room_bytes"] > 0].all()),
}"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("02-maps", FACTS, folder)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_every_number_that_the_lesson_tells_is_so(lesson: Followed) -> None:
    assert lesson.facts | {"exact": set(lesson.facts["exact"])} == {
        "calls": [200_006],
        "exact": {0},
        "never_too_much": True,
        "slots": 20_014,
        "pairs_by_thread": 46,
        "too_short": 0,
        "bars": {"linear": [505, 504], "log2": [1009]},
        "full": [64, 33],
        "lru_refused": 0,
        "ring_order": True,
        "all_arrived": True,
        "none_in_silence": True,
    }


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) >= 3
    assert lesson.solved == sorted(lesson.questions)


def test_the_programs_to_begin_with_are_wrong_as_the_text_says(lesson: Followed) -> None:
    assert "Wrong in the case: two threads on two CPUs" in lesson.starts["02-q5"]
    assert "Wrong in the case: more sizes than room" in lesson.starts["02-q6"]


def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []
