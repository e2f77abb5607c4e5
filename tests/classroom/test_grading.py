# SPDX-License-Identifier: Apache-2.0
"""Grading a small class in a container of namespaces: who is right has the points, who is hostile has none."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from classroom.learners import HOSTILE, START, WRONG, make, solutions

from labkit.classroom import places, report
from labkit.classroom.grading import Graded, grade
from labkit.cli import main
from labkit.errors import BadArgument, Missing
from labkit.machine.folders import build_folder, repo_folder

pytestmark = pytest.mark.bpf


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_QUICK", "1")
    monkeypatch.setenv("LABKIT_LOCK", "/run/labkit-classroom-tests.lock")  # in the container's own /run: nobody waits


def strangers() -> list[str]:
    """Return what a graded notebook could have left: processes of a box's user, boxes, scratch folders.

    What another copy of the lab grades at the same time on this machine is not counted.
    """
    left = [path.name for path in Path("/run").glob("labkit-box-*")]
    left += [path.name for path in build_folder().glob("grade*")]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid >= 0x60000000 and not is_of_another_lab(folder):
                left.append(f"process {folder.name}")
        except OSError:
            continue
    return left


def is_of_another_lab(process: Path) -> bool:
    """Return whether a process of a box sees another copy of the lab than this one; False if that is not known."""
    labs = list(process.glob("root/run/labkit-box-*/lab"))
    return bool(labs) and not any(lab.samefile(repo_folder()) for lab in labs)


def run(folder: Path, seconds: int = 60, **more: object) -> dict[str, Graded]:
    lines: list[str] = []
    results = grade(folder, place=places.CONTAINER, seconds=seconds, say=lines.append, **more)  # type: ignore[arg-type]
    return {each.learner: each for each in results}


def old_notebook(folder: Path) -> None:
    """Write a notebook whose cells are all unknown to today's lab; one of its exercises is gone."""
    path = make(folder, "old", START, [])
    old = json.loads(path.read_text())
    old["cells"] = [
        {**old["cells"][-1], "cell_type": "code", "source": source}
        for source in (
            "import labkit\nfrom labkit.lessons import start",
            "mystery = start.mystery()  # as it was then",
            'labkit.check("00-q1", len(mystery))\nlabkit.check("00-q9", 5)',
        )
    ]
    path.write_text(json.dumps(old))


def test_a_class_is_graded_and_nothing_is_left(tmp_path: Path) -> None:
    make(tmp_path, "right", START, solutions(START))
    make(tmp_path, "wrong", START, [WRONG])
    make(tmp_path, "insider", START, [HOSTILE["patch"], HOSTILE["vault"]])
    make(tmp_path, "breaker", START, [HOSTILE["kill"], HOSTILE["wire"]])
    torn = make(tmp_path, "torn", START, [])
    torn.write_text(torn.read_text()[:500])
    old_notebook(tmp_path)
    results = run(tmp_path)
    assert {name: each.points for name, each in results.items()} == {
        "right": 3,
        "wrong": 0,
        "insider": 0,
        "breaker": 0,
        "torn": 0,
        "old": 1,
    }, results
    assert [answer["state"] for answer in results["wrong"].answers.values()] == ["wrong"] * 3
    assert any("patches the check" in sign for sign in results["insider"].signs)
    assert any("insides" in sign for sign in results["insider"].signs)
    assert results["torn"].ended.startswith("00-start.ipynb is damaged")
    assert "\nFix: labkit reset 00" in results["torn"].ended
    assert any("another version of the lab" in sign for sign in results["old"].signs)
    assert not (tmp_path / "graded/escaped").exists()
    assert strangers() == []
    report.write(tmp_path, list(results.values()))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "grades.csv").read_text())))
    assert {row["Student"]: row["Lab 00 Start here (of 3)"] for row in rows}["right"] == "3"

    before = {path: path.read_bytes() for path in (tmp_path / "graded").rglob("*.json")}
    os.unlink(tmp_path / "graded/torn/00-start.json")  # as an interrupted run leaves it
    again = run(tmp_path)
    assert {name: each.points for name, each in again.items()} == {name: each.points for name, each in results.items()}
    assert [path for path, was in before.items() if path.parent.name != "torn" and path.read_bytes() != was] == []


@pytest.mark.parametrize(
    "told",
    [
        "",
        "[]",
        "{}",
        '{"answers": []}',
        '{"answers": {"00-q1": 1}}',
        '{"answers": {}, "cells": [1]}',
        "[" * 9999,
        "link",
    ],
)
def test_a_result_that_a_stranger_has_made_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    make(tmp_path, "forger", START, [])
    secret = tmp_path / "secret"
    secret.write_text('{"answers": {"00-q1": {"state": "right", "said": "", "cell": 1}}}')

    def forge(place: str, given: Path, out: Path, *_: object, **__: object) -> str:
        result = out / "00-start.json"
        result.symlink_to(secret) if told == "link" else result.write_text(told)
        return ""

    monkeypatch.setattr(places, "run_in_place", forge)
    graded = run(tmp_path)["forger"]
    assert graded.points == 0
    assert graded.ended == "not graded: no result"
    report.write(tmp_path, [graded])


def test_bad_calls_start_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="is not a folder"):
        run(tmp_path / "none")
    with pytest.raises(BadArgument, match="no learners"):
        run(tmp_path)
    with pytest.raises(BadArgument, match="no lesson 77"):
        run(tmp_path, wanted=["77"])
    with pytest.raises(Missing, match="No kernel image"):
        places.check_place(places.VM, tmp_path / "vmlinuz")


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ([], places.VM),
        (["--in-container"], places.CONTAINER),
        (["--on-this-machine-as-root"], places.BARE),
    ],
    ids=str,
)
def test_the_machine_itself_is_used_only_by_the_flag_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], place: str
) -> None:
    used = []

    def pretend(folder: Path, **given: object) -> list[Graded]:
        used.append(given["place"])
        return []

    monkeypatch.setattr("labkit.classroom.grading.grade", pretend)
    assert main(["grade", str(tmp_path), *options]) == 0
    assert used == [place]


def test_two_places_at_once_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["grade", "class", "--in-container", "--on-this-machine-as-root"])
    assert "not allowed with argument" in capsys.readouterr().err
