# SPDX-License-Identifier: Apache-2.0
"""Make every file of a new lesson from the templates in `scripts/new-lesson/`, and its row in every table.

The new lesson runs. Its tests fail until what says "fill in" is filled in.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from labkit.course import LESSONS, Lesson
from labkit.errors import BadArgument, bad_argument
from labkit.machine.folders import repo_folder

__all__ = ["make"]

MINUTES = 30
_MARK = re.compile(r"@([A-Z_]+)@")


def make(number: str, name: str, title: str = "", root: Path | None = None) -> list[Path]:
    """Make the files of a lesson and return them, with those that were changed.

    Parameters
    ----------
    number : the next free number, two digits.
    name : the stem: letters and digits, words joined by dashes or underscores, such as "page-faults".
    title : the H1 of its notebook; None makes one of the name.
    root : the tree to work in; None is this one.

    Raises
    ------
    BadArgument : the number is not the next one, the name is taken or not allowed. Nothing has been written.
    """
    root, before = root or repo_folder(), LESSONS[-1]
    due = f"{int(before.number) + 1:02}"
    if number != due:
        raise bad_argument("number", number, f"the next free number, {due!r}")
    stem = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", stem):
        raise bad_argument("name", name, 'lower-case words joined by dashes, such as "page-faults"')
    title = title or stem.replace("_", " ").capitalize()
    if not title.isprintable() or set(title) & set('"\\|@[]'):
        raise bad_argument("title", title, 'one line of text without the characters " \\ | @ [ ]')
    lesson = Lesson(number, stem, title, title, MINUTES, "fill in")
    files = _files(root, lesson)
    there = [path for path in files.values() if path.exists()]
    if there:
        raise BadArgument(f"{there[0].relative_to(root)} is there already.", "take another name, or remove it first")
    words = {
        "NUMBER": number,
        "STEM": stem,
        "TITLE": title,
        "MINUTES": str(MINUTES),
        "NOTEBOOK": Path(lesson.notebook).stem,
        "PREVIOUS_NUMBER": before.number,
        "PREVIOUS_SHORT": before.short,
        "PREVIOUS_NOTEBOOK": before.notebook,
    }
    for template, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = template.read_text(encoding="utf-8")
        path.write_text(_MARK.sub(lambda found: words[found[1]], text), encoding="utf-8")
    return [*files.values(), *_rows(root, lesson, before), _teaching(root)]


def _files(root: Path, lesson: Lesson) -> dict[Path, Path]:
    """Return each template with the file that is made of it."""
    source = repo_folder() / "scripts" / "new-lesson"
    made = {
        source / "notebook.ipynb.in": root / "notebooks" / lesson.notebook,
        source / "bpf.c.in": root / "c" / "bpf" / f"{lesson.stem}.c",
        source / "workload.c.in": root / "c" / "workloads" / f"{lesson.stem}.c",
    }
    for folder, place in (("lesson", "labkit/lessons"), ("tests", "tests/lessons")):
        for template in sorted((source / folder).glob("*.in")):
            made[template] = root / place / lesson.stem / template.name.removesuffix(".in")
    return made


def _rows(root: Path, lesson: Lesson, before: Lesson) -> list[Path]:
    """Add the lesson to the course's table, to the README's, and to the links of the lesson before it."""
    course, readme, previous = root / "labkit/course.py", root / "README.md", root / "notebooks" / before.notebook
    row = (
        f'    Lesson(\n        "{lesson.number}",\n        "{lesson.stem}",\n        "{lesson.title}",\n'
        f'        short="{lesson.short}",\n        minutes={lesson.minutes},\n        learns="{lesson.learns}",\n'
        '        vital="tracefs syscall_tracepoints",\n    ),\n'
    )
    _replace(course, "\n)\n\nNUMBERS", f"\n{row})\n\nNUMBERS")
    lines = readme.read_text(encoding="utf-8").splitlines()
    last = next(line for line in lines if line.startswith(f"| {before.number} |"))
    facts = [lesson.number, lesson.short, lesson.learns, str(lesson.minutes)]
    facts += ["–"] * (last.count("|") - 1 - len(facts))  # a column per kernel: not tested on any
    _replace(readme, last, f"{last}\n| {' | '.join(facts)} |")
    notebook = json.loads(previous.read_text(encoding="utf-8"))
    link = f"Next: [{lesson.number} · {lesson.short}]({lesson.notebook})"
    for cell in (notebook["cells"][0], notebook["cells"][-1]):
        lines = "".join(cell["source"]).splitlines(keepends=True)
        lines[-1] = f"{lines[-1].rstrip()} · {link}" if "Previous:" in lines[-1] else f"{lines[-1].rstrip()}\n\n{link}"
        cell["source"] = "".join(lines).splitlines(keepends=True)
    previous.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return [course, readme, previous]


def _teaching(root: Path) -> Path:
    """Make the teacher's table of questions anew, from the tree as it is now."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "scripts/teaching-questions.py"], cwd=root, env=environment, check=True)
    return root / "docs/teaching-questions.md"


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
