# SPDX-License-Identifier: Apache-2.0
"""Archives from strangers: the good ones are unpacked, each bad one has its two lines and leaves nothing."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import pytest
from classroom.archives import FILES, archive, good

from labkit.classroom.archive import MOST_BYTES, learner_name
from labkit.classroom.collect import collect
from labkit.errors import LabkitError


def bad_archives(folder: Path) -> dict[str, tuple[Path, str]]:
    """Return what is wrong -> archive, and a part of what must be said of it."""

    def one(name: str, member: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
        def change(info: tarfile.TarInfo) -> None:
            info.type, info.linkname = kind, link
            info.size = info.size if kind == tarfile.REGTYPE else 0

        return archive(folder / f"{name}.tar.gz", [(member, b"x")], change)

    (folder / "text.tar.gz").write_text("not an archive\n")
    (folder / "empty.tar.gz").write_bytes(b"")
    whole = good(folder / "whole").read_bytes()
    (folder / "torn.tar.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "gzip.tar.gz").write_bytes(gzip.compress(b"no tar in it" * 100))
    wrong = {"learner": "Ada", "files": {name: {"sha256": "0" * 64} for name in FILES}}
    listed = json.dumps(wrong).encode()
    return {
        "text": (folder / "text.tar.gz", "not an archive"),
        "empty": (folder / "empty.tar.gz", "not an archive"),
        "torn": (folder / "torn.tar.gz", "not an archive"),
        "gzip": (folder / "gzip.tar.gz", "not an archive"),
        "absent": (folder / "absent.tar.gz", "not an archive"),
        "absolute": (one("absolute", "/tmp/labkit-escaped"), "not a file that the lab hands in"),
        "dots": (one("dots", "notebooks/../../labkit-escaped"), "not a file that the lab hands in"),
        "symlink": (one("symlink", "progress.json", tarfile.SYMTYPE, "/etc/passwd"), "not a plain file"),
        "hard link": (one("hard", "progress.json", tarfile.LNKTYPE, "/etc/passwd"), "not a plain file"),
        "device": (one("device", "progress.json", tarfile.CHRTYPE), "not a plain file"),
        "pipe": (one("pipe", "progress.json", tarfile.FIFOTYPE), "not a plain file"),
        "folder": (one("folder", "notebooks", tarfile.DIRTYPE), "not a plain file"),
        "twice": (
            archive(folder / "twice.tar.gz", [("progress.json", b"1"), ("progress.json", b"2")]),
            "not a file that the lab hands in",
        ),
        "no list": (archive(folder / "bare.tar.gz", FILES.items()), "has no hand-in.json"),
        "checksum": (
            archive(folder / "changed.tar.gz", {"hand-in.json": listed, **FILES}.items()),
            "not those of its list",
        ),
        "no name": (good(folder / "nameless.tar.gz", learner="../.."), "is not a name"),
        "large file": (
            archive(folder / "large.tar.gz", [("progress.json", bytes(21 << 20))]),
            "has more than 20 MiB",
        ),
    }


def test_each_bad_archive_has_two_lines_and_the_others_go_on(tmp_path: Path) -> None:
    given, to = tmp_path / "given", tmp_path / "class"
    given.mkdir()
    bad = bad_archives(given)
    last = good(given / "zoe.tar.gz", learner="Zoë Ångström")
    collected = collect([*(path for path, _ in bad.values()), last], to)
    for (what, (_, said)), each in zip(bad.items(), collected, strict=False):
        assert each.folder is None, what
        assert said in each.line, (what, each.line)
        assert len(each.line.splitlines()) == 2
        assert each.line.splitlines()[1].startswith("Fix: ")
    assert collected[-1].folder == to / "Zoë Ångström"
    assert [path.name for path in to.iterdir()] == ["Zoë Ångström"]
    assert not Path("/tmp/labkit-escaped").exists()


@pytest.mark.parametrize("where", ["member", "header"])
def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, where: str) -> None:
    head = tarfile.TarInfo("progress.json")
    head.size = 8 << 30
    bomb = tmp_path / "bomb.tar.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        if where == "header":  # a long name of 8 GiB, which tarfile would read whole
            head.type, head.name = tarfile.GNUTYPE_LONGNAME, "././@LongLink"
        file.write(head.tobuf(tarfile.GNU_FORMAT))
        for _ in range((MOST_BYTES >> 20) + 8):
            file.write(bytes(1 << 20))
    (each,) = collect([bomb], tmp_path / "class")
    assert each.folder is None
    assert "more than" in each.line
    assert list((tmp_path / "class").iterdir()) == []


def test_two_learners_of_one_name_are_told_apart(tmp_path: Path) -> None:
    first, second = (
        good(tmp_path / "a.tar.gz", "Kim Lee"),
        good(tmp_path / "b.tar.gz", "kim lee", {"progress.json": b"2"}),
    )
    collected = collect([first, second], tmp_path / "class")
    assert [each.folder and each.folder.name for each in collected] == ["Kim Lee", "kim lee-2"]
    assert "there is another" in collected[1].line


def test_an_archive_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    made = good(tmp_path / "a.tar.gz")
    collect([made], tmp_path / "class")
    (again,) = collect([made], tmp_path / "class")
    assert "already" in again.line
    assert [path.name for path in (tmp_path / "class").iterdir()] == ["Ada"]


@pytest.mark.parametrize(
    ("said", "folder"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("../../etc", "etc"),
        ("graded", "graded-"),
        (".hidden", "hidden"),
        ("a/b", "a-b"),
    ],
)
def test_a_name_becomes_a_folder(said: str, folder: str) -> None:
    assert learner_name(said) == folder


@pytest.mark.parametrize("said", ["", "...", "/", "\x00", "---"])
def test_what_is_no_name_is_refused(said: str) -> None:
    with pytest.raises(LabkitError, match="is not a name"):
        learner_name(said)


def test_a_class_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabkitError, match="cannot be made"):
        collect([], tmp_path / "file")
