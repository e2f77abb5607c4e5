"""One stem a lesson: its notebook, experiment, plot, panel and tests go by the same name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tree import ROOT, files, named, short

LESSONS = [path for path in named(".ipynb", under="notebooks") if path.parent.name == "notebooks"]


def stem(lesson: Path) -> str:
    return lesson.stem.split("-", 1)[1].replace("-", "_")


@pytest.mark.parametrize("lesson", LESSONS, ids=short)
def test_a_lesson_is_numbered_and_named(lesson: Path) -> None:
    assert re.fullmatch(r"\d\d(-[a-z]+)+\.ipynb", lesson.name)


def test_no_number_is_taken_twice() -> None:
    numbers = [lesson.name[:2] for lesson in LESSONS]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("lesson", LESSONS, ids=short)
def test_a_lessons_files_go_by_its_name(lesson: Path) -> None:
    name = stem(lesson)
    wanted = [
        f"labkit/experiments/{name}.py",
        f"tests/experiments/test_{name}.py",
        f"tests/notebooks/test_{lesson.name[:2]}_{name}.py",
    ]
    assert [path for path in wanted if ROOT / path not in files()] == []


@pytest.mark.parametrize("path", named(".c", under="c/bpf"), ids=short)
def test_a_bpf_program_belongs_to_a_stem(path: Path) -> None:
    """A stem may have several programs, each beginning with it: hello.c, hello_print.c, verifier/no_null_test.c."""
    stems = {module.stem for module in named(".py", under="labkit/experiments")}
    first = path.relative_to(ROOT / "c/bpf").parts[0].removesuffix(path.suffix)
    assert any(first == known or first.startswith(f"{known}_") for known in stems), f"no experiment for {first}"
