# SPDX-License-Identifier: Apache-2.0
"""Lesson 05, as a learner runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from runner.learner import Followed, follow

from labkit.bpf.usdt import uprobe
from labkit.lessons import usdt
from labkit.machine.folders import repo_folder
from labkit.notebook import recorded
from labkit.notebook.plotting import style

pytestmark = pytest.mark.bpf

FACTS = """{
    "events": frame["probe"].value_counts().to_dict(),
    "told": frame.groupby("probe")["fired"].first().to_dict(),
    "lost": frame.attrs["lost_events"],
    "histogram": bool((histogram["count"] == histogram["fired"]).all()),
    "changed": start["code"].iloc[0] != start["code"].iloc[1],
    "restored": start["code"].iloc[0] == start["code"].iloc[3],
    "listeners": detail["listeners"].tolist(),
    "processes": apart["count"].tolist(),
    "prepared": (phases["fired"] // phases["slices"]).tolist(),
    "arms": int(costs["arm"].nunique()) >= 6,
    "collections": len(pauses) >= 24,
    "throws": exceptions["probe"].value_counts().to_dict(),
    "python": calls.attrs["warnings"] != [] or {
        name: int((calls["function"] == name).sum()) for name in ("shop", "price", "item", "tax", "discount")
    } == {"shop": 1, "price": 13, "item": 39, "tax": 39, "discount": 8},
    "measured_here": not any("recorded" in one.attrs for one in (frame, start, costs, calls, pauses, exceptions)),
}"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder: Path = tmp_path_factory.mktemp("lesson")
    return follow("05-usdt", FACTS, folder)


def test_it_runs_to_its_end(lesson: Followed) -> None:
    assert lesson.error == ""


def test_its_facts_hold(lesson: Followed) -> None:
    assert lesson.facts == {
        "events": {"request_start": 101, "request_done": 101},
        "told": {"request_start": 101, "request_done": 101},
        "lost": 0,
        "histogram": True,
        "changed": True,
        "restored": True,
        "listeners": [0, 1, 1, 0],
        "processes": [101, 103, 0],
        "prepared": [0, 503, 0],
        "arms": True,
        "collections": True,
        "throws": {"throw": 23, "catch": 30, "rethrow": 7},
        "python": True,
        "measured_here": True,
    }


def test_the_solutions_pass(lesson: Followed) -> None:
    assert len(lesson.questions) >= 3
    assert lesson.solved == sorted(lesson.questions)


def test_the_programs_to_begin_with_are_wrong_as_the_text_says(lesson: Followed) -> None:
    assert "Wrong in the case: one path" in lesson.starts["05-q5"]
    assert "Wrong in the case: one status" in lesson.starts["05-q6"]


def test_wrong_answers_do_not(lesson: Followed) -> None:
    assert lesson.wrong_accepted == []


def test_on_a_kernel_without_uprobes_each_measurement_has_its_recording(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (repo_folder() / "notebooks" / "05-usdt.ipynb").read_text(encoding="utf-8")
    names = set(re.findall(r'labkit\.measured\(\\"05\\", \\"([\w-]+)\\"', text))
    assert len(names) >= 10
    monkeypatch.setattr(uprobe, "SOURCE", tmp_path)
    frame = recorded.measured("05", "requests", usdt.measure, requests=23)
    assert frame.attrs["recorded"] is True
    assert len(frame) == 202
    for name in names:
        kept = recorded.recorded("05", name)
        if not {"code", "arguments"} & set(kept):  # shown as tables alone
            assert "RECORDED" in usdt.plot(kept, style.figure().subplots()).get_title(loc="left")
