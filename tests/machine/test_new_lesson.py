# SPDX-License-Identifier: Apache-2.0
"""`labkit new-lesson` makes a lesson that runs, in a copy of the tree, and nothing else needs to be edited."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tree import ROOT, files

from labkit.course import LESSONS
from labkit.errors import BadArgument
from labkit.machine import new_lesson

NEXT = f"{int(LESSONS[-1].number) + 1:02}"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("author") / "tree"
    for path in files():
        to = folder / path.relative_to(ROOT)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, to)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    made = run(folder, "-m", "labkit", "new-lesson", NEXT, "page-faults", "--title", "Count page faults")
    assert made.returncode == 0, made.stderr
    (folder.parent / "made").write_text(made.stdout)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "LABKIT_DATA": str(folder / "data")}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_tree_with_it_passes_all_that_is_checked_without_running(copy: Path) -> None:
    made = [line for line in (copy.parent / "made").read_text().splitlines() if (copy / line).is_file()]
    # of the tests of one file each, those of the files that it made or changed: the others are as they were
    wanted = " or ".join(["not /", *made])
    static = ("tests/static", "tests/machine/test_doctor_table.py")
    ran = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", wanted, *static)
    assert len(made) > 15
    assert ran.returncode == 0, ran.stdout[-3000:]


@pytest.mark.bpf
def test_its_own_tests_fail_only_where_something_is_to_be_filled_in(copy: Path) -> None:
    ran = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rf", "tests/lessons/page_faults")
    failed = sorted(line.split("::")[1].split(" ")[0] for line in ran.stdout.splitlines() if line.startswith("FAILED"))
    assert failed == ["test_no_placeholder_is_left", "test_the_solutions_pass"], ran.stdout[-3000:]


def test_the_lesson_before_it_leads_to_it(copy: Path) -> None:
    text = (copy / "notebooks" / LESSONS[-1].notebook).read_text(encoding="utf-8")
    assert text.count(f"Next: [{NEXT} · Count page faults]({NEXT}-page-faults.ipynb)") == 2


@pytest.mark.parametrize(
    ("number", "name", "said"),
    [
        ("07", "page-faults", f"number='07' is not allowed.\nFix: pass number as the next free number, '{NEXT}'"),
        (NEXT, "Page Faults", "name='Page Faults' is not allowed."),
        (NEXT, "../escape", "name='../escape' is not allowed."),
        (NEXT, "maps", "is there already."),
    ],
)
def test_what_cannot_be_made_is_said_and_nothing_is_written(number: str, name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "c/bpf").mkdir(parents=True)
    (tmp_path / "c/bpf/maps.c").touch()
    with pytest.raises(BadArgument) as raised:
        new_lesson.make(number, name, root=tmp_path)
    assert said in str(raised.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "c/bpf/maps.c"]


@pytest.mark.parametrize("title", ['Say "hello"', "a | b", "two\nlines", "back\\slash"])
def test_a_title_that_would_break_a_table_is_refused(title: str, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="title="):
        new_lesson.make(NEXT, "page-faults", title, tmp_path)
