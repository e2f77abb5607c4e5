# SPDX-License-Identifier: Apache-2.0
"""A learner's copies are the learner's: a fresh one is available, and nothing is lost for it."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from labkit.cli import main
from labkit.errors import BadArgument, LabkitError, Missing
from labkit.machine import copies
from labkit.machine.copies import hand_out, reset

LESSON = "07-io-engines.ipynb"


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    (folder / "solutions").mkdir(parents=True)
    (folder / "recorded").mkdir()
    (folder / LESSON).write_text("as shipped")
    (folder / "00-start.ipynb").write_text("the beginning")
    (folder / "solutions" / LESSON).write_text("solved")
    (folder / "recorded" / "07-a.csv").write_text("1")
    return folder


@pytest.fixture
def learner(tmp_path: Path, shipped: Path) -> Path:
    folder = tmp_path / "learner"
    hand_out(shipped=shipped, folder=folder)
    return folder


def visible(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.ipynb")}


def test_lessons_and_solutions_are_handed_out(shipped: Path, learner: Path) -> None:
    assert visible(learner) == {LESSON, "00-start.ipynb", f"solutions/{LESSON}"}
    assert (learner / LESSON).read_text() == "as shipped"


def test_a_folder_that_is_full_gives_two_lines(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LabkitError, match=r"cannot be copied to .*: No space left on device") as caught:
        hand_out(shipped=shipped, folder=tmp_path / "full")
    assert caught.value.fix.startswith("remove files from it")


def test_handing_out_again_leaves_what_was_written(shipped: Path, learner: Path) -> None:
    (learner / LESSON).write_text("mine")
    assert hand_out(shipped=shipped, folder=learner) == []
    assert (learner / LESSON).read_text() == "mine"
    assert (shipped / LESSON).read_text() == "as shipped"


def test_a_newer_edition_takes_the_place_of_what_was_not_touched(shipped: Path, learner: Path) -> None:
    (learner / LESSON).write_text("mine")
    (shipped / LESSON).write_text("second edition")
    (shipped / "00-start.ipynb").write_text("a better beginning")
    said = hand_out(shipped=shipped, folder=learner)
    assert (learner / "00-start.ipynb").read_text() == "a better beginning"
    assert (learner / LESSON).read_text() == "mine"
    assert len(said) == 1 and "labkit reset 07" in said[0]


@pytest.mark.parametrize("ledger", ["", "[]", "{", '{"00-start.ipynb": 3}'])
def test_without_its_ledger_nothing_of_the_learners_is_touched(shipped: Path, learner: Path, ledger: str) -> None:
    (learner / copies._LEDGER).write_text(ledger)
    (learner / LESSON).write_text("mine")
    (shipped / LESSON).write_text("second edition")
    hand_out(shipped=shipped, folder=learner)
    assert (learner / LESSON).read_text() == "mine"


def test_a_reset_keeps_the_learners_copy(shipped: Path, learner: Path) -> None:
    (learner / LESSON).write_text("mine")
    copy, kept = reset("07", shipped=shipped, folder=learner)
    assert copy.read_text() == "as shipped"
    assert kept is not None and kept.read_text() == "mine"
    assert kept.parent == learner / "kept"


def test_two_resets_in_one_second_keep_both(shipped: Path, learner: Path) -> None:
    kept = []
    for text in ("first", "second", "third"):
        (learner / LESSON).write_text(text)
        kept.append(reset("07", shipped=shipped, folder=learner, now=1e9)[1])
    assert [path.read_text() for path in kept if path] == ["first", "second", "third"]


def test_a_fresh_copy_is_not_kept(shipped: Path, learner: Path) -> None:
    assert reset("07", shipped=shipped, folder=learner)[1] is None
    assert not (learner / "kept").exists()


def test_a_removed_copy_comes_back(shipped: Path, learner: Path) -> None:
    (learner / LESSON).unlink()
    copy, kept = reset("07", shipped=shipped, folder=learner)
    assert copy.read_text() == "as shipped" and kept is None


def test_after_a_reset_the_next_edition_comes_by_itself(shipped: Path, learner: Path) -> None:
    (learner / LESSON).write_text("mine")
    reset("07", shipped=shipped, folder=learner)
    (shipped / LESSON).write_text("second edition")
    hand_out(shipped=shipped, folder=learner)
    assert (learner / LESSON).read_text() == "second edition"


def test_where_the_old_copy_cannot_be_kept_it_stays(shipped: Path, learner: Path) -> None:
    (learner / LESSON).write_text("mine")
    (learner / "kept").write_text("a file is in the way")
    with pytest.raises(LabkitError) as raised:
        reset("07", shipped=shipped, folder=learner)
    assert "make" in raised.value.fix and "writable" in raised.value.fix
    assert (learner / LESSON).read_text() == "mine"


@pytest.mark.parametrize("lesson", ["99", "7", "", "../07", "07-io-engines"])
def test_an_unknown_lesson_is_named_with_those_that_exist(shipped: Path, learner: Path, lesson: str) -> None:
    with pytest.raises(BadArgument) as raised:
        reset(lesson, shipped=shipped, folder=learner)
    assert "07" in str(raised.value) and repr(lesson) in str(raised.value)


@pytest.mark.parametrize("owner", [os.geteuid(), 1000])
def test_in_a_clone_git_has_the_fresh_copy(shipped: Path, owner: int) -> None:
    def git(*words: str) -> None:
        settings = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", shipped, *settings, *words], check=True, capture_output=True)

    git("init")
    git("add", LESSON)
    git("commit", "-m", "lessons")
    if owner != os.geteuid():
        if os.geteuid() != 0:
            pytest.skip("only root can look into another user's clone")
        for path in (shipped, *shipped.rglob("*")):
            os.chown(path, owner, owner)
    (shipped / LESSON).write_text("mine")
    copy, kept = reset("07", shipped=shipped, folder=shipped)
    assert copy == shipped / LESSON and copy.read_text() == "as shipped"
    assert kept is not None and kept.read_text() == "mine"


def test_without_git_the_only_copy_is_left_alone(shipped: Path) -> None:
    (shipped / LESSON).write_text("mine")
    with pytest.raises(Missing) as raised:
        reset("07", shipped=shipped, folder=shipped)
    assert "git clone" in raised.value.fix and "not a git repository" in raised.value.detail
    assert (shipped / LESSON).read_text() == "mine"


def test_the_command_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LABKIT_NOTEBOOKS", str(tmp_path / "mine"))
    assert main(["reset", "--new"]) == 0
    (tmp_path / "mine" / "01-hello.ipynb").write_text("mine")
    assert main(["reset", "01"]) == 0
    told = capsys.readouterr().out
    assert "is fresh" in told and "kept/01-hello-" in told and "Reload Notebook" in told


@pytest.mark.parametrize(("words", "told"), [(["reset"], "labkit reset 07"), (["reset", "99"], "'99'")])
def test_the_command_refuses_in_two_lines(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    assert told in capsys.readouterr().err


def test_one_unknown_lesson_stops_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_NOTEBOOKS", str(tmp_path / "mine"))
    assert main(["reset", "--new"]) == 0
    (tmp_path / "mine" / "01-hello.ipynb").write_text("mine")
    assert main(["reset", "01", "99"]) == 1
    assert (tmp_path / "mine" / "01-hello.ipynb").read_text() == "mine"
    assert not (tmp_path / "mine" / "kept").exists()


def test_a_relative_folder_is_below_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_NOTEBOOKS", "learner")
    assert copies.learner_folder() == copies.repo_folder() / "learner"
    monkeypatch.delenv("LABKIT_NOTEBOOKS")
    assert copies.learner_folder() == copies.shipped_folder()
