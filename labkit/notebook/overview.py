"""How far you are: `labkit.progress()` lists the lessons and which of their exercises you have solved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from labkit.machine.folders import repo_folder
from labkit.notebook.exercises import all_questions
from labkit.notebook.question import Question
from labkit.notebook.render import TEXT, Rendered, box
from labkit.notebook.solved import solved, trouble

__all__ = ["Progress", "progress"]

CELL = "padding: 2px 10px; text-align: left; border-bottom: 1px solid #8888;"


@dataclass(frozen=True, repr=False)
class Progress(Rendered):
    """The lessons and what is solved of each; `solved` and `total` count exercises."""

    solved: int = 0
    total: int = 0


@dataclass(frozen=True)
class _Lesson:
    number: str
    notebook: str
    title: str
    marks: str  # one letter an exercise, in order: ✓ solved, · not yet
    first_open: str  # the first exercise that is not solved, or ""

    @property
    def score(self) -> str:
        return f"{self.marks.count('✓')} of {len(self.marks)}"


def progress(*, questions: Mapping[str, Question] | None = None) -> Progress:
    """Return the lessons that are here, how many of each one's exercises you have solved, and where to go on."""
    questions, done = all_questions() if questions is None else questions, solved()
    lessons = [
        _lesson(path, done, questions) for path in sorted((repo_folder() / "notebooks").glob("[0-9][0-9]-*.ipynb"))
    ]
    right, total = sum(lesson.marks.count("✓") for lesson in lessons), sum(len(lesson.marks) for lesson in lessons)
    said = f"You have solved {right} of {total} exercises."
    # on from where the learner was last, not back to what was left out
    begun = max((index for index, lesson in enumerate(lessons) if "✓" in lesson.marks), default=0)
    onward = next((one for one in [*lessons[begun:], *lessons] if one.first_open), None)
    said += f" Go on with {onward.first_open}, in lesson {onward.number}." if onward else " That is all of them."
    lines = [said, *(f"  {one.marks:<5} {one.score:>7}  {one.number} {one.title}" for one in lessons)]
    html = f"<strong>{escape(said)}</strong>{_table(lessons)}"
    if unkept := trouble():
        lines.append(unkept)
        html += f"<p>{escape(unkept)}</p>"
    return Progress("\n".join(lines), box("warning" if unkept else "note", html), solved=right, total=total)


def _lesson(path: Path, done: Mapping[str, str], questions: Mapping[str, Question]) -> _Lesson:
    own = sorted(name for name in questions if name.startswith(f"{path.name[:2]}-"))
    marks = "".join("✓" if name in done else "·" for name in own)
    return _Lesson(path.name[:2], path.name, _title(path), marks, next((name for name in own if name not in done), ""))


def _title(path: Path) -> str:
    """Return a notebook's title without its number, or its name where it cannot be read."""
    try:
        first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
        return "".join(first).splitlines()[0].lstrip("# ").partition("·")[2].strip() or path.stem
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return path.stem


def _table(lessons: list[_Lesson]) -> str:
    heads = "".join(f'<th scope="col" style="{CELL}">{head}</th>' for head in ("lesson", "exercises", "solved"))
    body = "".join(
        f'<tr><td style="{CELL}"><a href="{escape(one.notebook)}">{one.number} · {escape(one.title)}</a></td>'
        f'<td style="{CELL} letter-spacing: 3px;" aria-hidden="true">{one.marks}</td>'
        f'<td style="{CELL}">{one.score}</td></tr>'
        for one in lessons
    )
    return (
        f'<table class="labkit-table" style="border-collapse: collapse; margin: 4px 0; {TEXT}">'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )
