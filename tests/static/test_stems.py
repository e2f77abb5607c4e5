# SPDX-License-Identifier: Apache-2.0
"""One folder per lesson: its notebook, Python, BPF C, workloads and tests go by the same name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tree import ROOT, files, named, short

from labkit.course import LESSONS, Lesson

NOTEBOOKS = [path for path in named(".ipynb", under="notebooks") if path.parent.name == "notebooks"]


def stem(lesson: Path) -> str:
    return lesson.stem.split("-", 1)[1].replace("-", "_")


@pytest.mark.parametrize("lesson", NOTEBOOKS, ids=short)
def test_a_lesson_is_numbered_and_named(lesson: Path) -> None:
    assert re.fullmatch(r"\d\d(-[a-z]+)+\.ipynb", lesson.name)


def test_no_number_is_taken_twice() -> None:
    numbers = [lesson.name[:2] for lesson in NOTEBOOKS]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("lesson", NOTEBOOKS, ids=short)
def test_a_lessons_files_go_by_its_name(lesson: Path) -> None:
    name = stem(lesson)
    wanted = [
        *(f"labkit/lessons/{name}/{part}.py" for part in ("__init__", "plots", "panels", "questions")),
        f"tests/lessons/{name}/test_measure.py",
        f"tests/lessons/{name}/test_notebook.py",
    ]
    assert [path for path in wanted if ROOT / path not in files()] == []


@pytest.mark.parametrize("path", named(".c", under="c/bpf"), ids=short)
def test_a_bpf_program_belongs_to_a_stem(path: Path) -> None:
    """A stem may have several programs, each beginning with it: hello.c, hello_print.c, verifier/no_null_test.c."""
    stems = {lesson.stem for lesson in LESSONS}
    first = path.relative_to(ROOT / "c/bpf").parts[0].removesuffix(path.suffix)
    assert any(first == known or first.startswith(f"{known}_") for known in stems), f"no lesson for {first}"


def test_the_table_of_the_course_names_every_notebook_and_no_other() -> None:
    assert [lesson.notebook for lesson in LESSONS] == [path.name for path in NOTEBOOKS]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_notebook_has_the_title_and_the_minutes_of_the_table(lesson: Lesson) -> None:
    head = "".join(json.loads((ROOT / "notebooks" / lesson.notebook).read_text())["cells"][0]["source"])
    assert head.startswith(f"# {lesson.number} · {lesson.title}\n")
    assert f"{lesson.minutes} minutes" in head
