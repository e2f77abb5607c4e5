# SPDX-License-Identifier: Apache-2.0
"""What is handed in is what is collected; what cannot be handed in is refused, and leaves nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest

from labkit.classroom.collect import collect
from labkit.classroom.hand_in import hand_in
from labkit.cli import main
from labkit.errors import LabkitError
from labkit.machine.folders import repo_folder
from labkit.notebook import solved
from labkit.notebook.kept_frames import keep, kept_folder

NAME = "Ada Lovelace"


@pytest.fixture
def learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a learner who has solved an exercise and measured a frame."""
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    for name in ("00-start.ipynb", "01-hello.ipynb"):
        (notebooks / name).write_bytes((repo_folder() / "notebooks" / name).read_bytes())
    monkeypatch.setenv("LABKIT_NOTEBOOKS", str(notebooks))
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("LABKIT_PROGRESS", raising=False)
    monkeypatch.setenv("LABKIT_QUICK", "0")
    solved.remember("00-q1")
    frame = pd.DataFrame({"engine": ["sync"], "block_bytes": [4096], "bytes_per_s": [1e9]})
    frame.attrs["kernel"] = "6.1"
    keep("07", "sizes", frame)
    (tmp_path / "out").mkdir()
    return tmp_path


def test_what_is_handed_in_is_collected(learner: Path) -> None:
    made = hand_in(NAME, learner / "out")
    assert made.path.name == "Ada-Lovelace.tar.gz"
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    (each,) = collect([made.path], learner / "class")
    assert each.folder == learner / "class" / NAME
    manifest = json.loads((each.folder / "hand-in.json").read_text())
    assert manifest["machine"]["kernel"]
    assert sorted(manifest["files"]) == [
        "frames/07-sizes.csv",
        "frames/07-sizes.json",
        "notebooks/00-start.ipynb",
        "notebooks/01-hello.ipynb",
        "progress.json",
    ]
    assert json.loads((each.folder / "frames/07-sizes.json").read_text()) == {"kernel": "6.1"}


def test_nothing_solved_is_refused(learner: Path) -> None:
    solved.progress_file().unlink()
    with pytest.raises(LabkitError, match="No exercise is solved yet"):
        hand_in(NAME, learner / "out")
    solved.progress_file().write_text("no JSON")
    with pytest.raises(LabkitError, match="damaged"):
        hand_in(NAME, learner / "out")


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[]", '{"cells": 5}', '{"cells": [{}]}', '{"cells": [[]]}', "[" * 9999]
)
def test_a_damaged_notebook_is_refused(learner: Path, text: str) -> None:
    (learner / "notebooks/01-hello.ipynb").write_text(text)
    with pytest.raises(LabkitError, match=r"01-hello.ipynb is damaged") as raised:
        hand_in(NAME, learner / "out")
    assert "labkit reset 01" in raised.value.fix
    assert list((learner / "out").iterdir()) == []


def test_a_full_disk_is_named_and_the_older_archive_stays(learner: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hand_in(NAME, learner / "out").path.read_bytes()

    def full(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(LabkitError, match="is full"):
        hand_in(NAME, learner / "out")
    assert [path.read_bytes() for path in (learner / "out").iterdir()] == [before]


def test_the_command_says_two_lines(learner: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hand-in", NAME, "--to", str(learner / "none")]) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert main(["hand-in", NAME, "--to", str(learner / "out")]) == 0
    assert "1 exercises solved" in capsys.readouterr().out
    assert main(["collect", str(learner / "out"), "--to", str(learner / "class")]) == 0
    assert f"unpacked as {NAME}" in capsys.readouterr().out
    (learner / "out/bad.tar.gz").write_text("bad")
    assert main(["collect", str(learner / "out"), "--to", str(learner / "class")]) == 1


@pytest.mark.parametrize("command", ["hand-in", "collect", "grade", "atlas"])
def test_each_command_has_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out) > 300


def test_only_frames_of_the_table_are_kept_and_none_of_a_quick_run(
    learner: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame({"x": [1]})
    keep("07", "lanes", frame)
    monkeypatch.setenv("LABKIT_QUICK", "1")
    keep("07", "curves", frame)
    assert sorted(path.name for path in kept_folder().iterdir()) == ["07-sizes.csv", "07-sizes.json"]


def test_a_frame_that_cannot_be_kept_does_not_spoil_the_measurement(
    learner: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_DATA", "/proc/none")
    keep("07", "sizes", pd.DataFrame({"x": [1]}))
