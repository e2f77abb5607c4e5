# SPDX-License-Identifier: Apache-2.0
"""How far you are: `labkit.progress()` lists the lessons and which of their exercises you have solved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from labkit.course import LESSONS, Lesson
from labkit.notebook.exercises import all_questions
from labkit.notebook.question import Question
from labkit.notebook.render import Rendered, box, html_table
from labkit.notebook.solved import solved, trouble

__all__ = ["Progress", "progress"]

HEADS = ("lesson", "you find out", "minutes", "exercises", "solved")


@dataclass(frozen=True, repr=False)
class Progress(Rendered):
    """The lessons and what is solved of each; `solved` and `total` count exercises."""

    solved: int = 0
    total: int = 0


@dataclass(frozen=True)
class _Exercises:
    """The exercises of one lesson: which are solved."""

    lesson: Lesson
    done: dict[str, bool]

    @property
    def solved(self) -> int:
        return sum(self.done.values())

    @property
    def marks(self) -> str:
        return "".join("✓" if done else "·" for done in self.done.values())

    @property
    def score(self) -> str:
        return f"{self.solved} of {len(self.done)}"

    @property
    def next(self) -> str:
        """The first exercise that is not solved, or an empty text."""
        return next((name for name, done in self.done.items() if not done), "")


def progress(*, questions: Mapping[str, Question] | None = None) -> Progress:
    """Return the lessons, how many of each one's exercises you have solved, and where to go on."""
    questions, done = all_questions() if questions is None else questions, solved()
    lessons = [
        _Exercises(lesson, {name: name in done for name in sorted(questions) if name.startswith(f"{lesson.number}-")})
        for lesson in LESSONS
    ]
    right, total = sum(each.solved for each in lessons), sum(len(each.done) for each in lessons)
    said = f"You have solved {right} of {total} exercises."
    # on from where the learner was last, not back to what was left out
    begun = max((index for index, each in enumerate(lessons) if each.solved), default=0)
    onward = next((each for each in [*lessons[begun:], *lessons] if each.next), None)
    said += f" Go on with {onward.next}, in lesson {onward.lesson.number}." if onward else " That is all of them."
    lines = [
        said,
        *(f"  {each.marks:<5} {each.score:>7}  {each.lesson.number} {each.lesson.title}" for each in lessons),
    ]
    html = f"<strong>{escape(said)}</strong>{html_table(HEADS, map(_row, lessons))}"
    if unkept := trouble():
        lines.append(unkept)
        html += f"<p>{escape(unkept)}</p>"
    return Progress("\n".join(lines), box("warning" if unkept else "note", html), solved=right, total=total)


def _row(each: _Exercises) -> list[str]:
    lesson = each.lesson
    return [
        f'<a href="{escape(lesson.notebook)}">{lesson.number} · {escape(lesson.title)}</a>',
        escape(lesson.learns),
        str(lesson.minutes),
        f'<span style="letter-spacing: 3px;" aria-hidden="true">{each.marks}</span>',
        each.score,
    ]
