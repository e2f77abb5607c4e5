# SPDX-License-Identifier: Apache-2.0
"""Lesson 04, as a learner runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner.learner import Followed, follow

pytestmark = pytest.mark.bpf

FACTS = """{
    "naps": len(naps),
    "returned": bool((naps["returned"] == 2 * naps["argument"]).all()),
    "counted": sorted({*works["at_entry"].tolist(), *works["at_return"].tolist()}),
    "mechanisms_that_work": works["mechanism"].tolist(),
    "silent_gaps": counts.loc[counts["state"] != "ok", "reason"].eq("").sum().item(),
    "arms_without_interval": costs[costs["slices"] > 0][["low_ns", "high_ns"]].isna().sum().sum().item(),
    "absent_without_reason": costs.loc[costs["slices"] == 0, "reason"].eq("").sum().item(),
    "noise_or_warning": bool(
        (costs[costs["arm"] == "nothing (again)"].eval("low_ns <= 0 <= high_ns")).all()
        or any("A/A" in warning for warning in costs.attrs["warnings"])
    ),
    "looked": looked["symbol"].tolist(),
    "inlined": inlined["count"].tolist(),
    "widest": max(("apple", "pear", "plum"), key=lambda name: flame.loc[
        flame["stack"].str.contains(f";work_burn;{name}"), "count"].sum()),
    "lost": flame.attrs["lost_events"],
}"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("04-probes", FACTS, folder)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_every_number_that_the_lesson_tells_is_so(lesson: Followed) -> None:
    works = lesson.facts.pop("mechanisms_that_work")
    assert {"tracepoint", "raw tracepoint", "uprobe"} <= set(works)
    assert lesson.facts == {
        "naps": 46,
        "returned": True,
        "counted": [997],
        "silent_gaps": 0,
        "arms_without_interval": 0,
        "absent_without_reason": 0,
        "noise_or_warning": True,
        "looked": ["yes", "yes", "no"],
        "inlined": [23, 7, 0],
        "widest": "apple",
        "lost": 0,
    }


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) >= 3
    assert lesson.solved == sorted(lesson.questions)


def test_the_programs_to_begin_with_are_wrong_as_the_text_says(lesson: Followed) -> None:
    assert "Wrong in the case: two threads at a time" in lesson.starts["04-q5"]
    assert "Wrong in the case: one call" in lesson.starts["04-q6"]


def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []
