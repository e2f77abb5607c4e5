# SPDX-License-Identifier: Apache-2.0
"""How far you are: `labkit.progress()` lists the lessons, which of their exercises you have solved, and how often your
predictions were right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from labkit.course import LESSONS, Lesson
from labkit.notebook.exercises import all_questions
from labkit.notebook.predicted import Predicted, predictions
from labkit.notebook.question import Question
from labkit.notebook.render import Rendered, box, html_table
from labkit.notebook.solved import solved, trouble

__all__ = ["Progress", "progress"]

HEADS = ("lesson", "you find out", "minutes", "exercises", "solved", "predicted right")


@dataclass(frozen=True, repr=False)
class Progress(Rendered):
    """The lessons and what is solved of each.

    `solved` and `total` count exercises. `right` and `predicted` count the predictions that were measured, each with
    its first answer.
    """

    solved: int = 0
    total: int = 0
    right: int = 0
    predicted: int = 0


@dataclass(frozen=True)
class _Exercises:
    """The exercises of one lesson, which of them are solved, and the predictions that were measured."""

    lesson: Lesson
    done: dict[str, bool]
    predicted: list[Predicted]

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
    def right(self) -> int:
        return sum(bool(made.right) for made in self.predicted)

    @property
    def calibration(self) -> str:
        return f"{self.right} of {len(self.predicted)}" if self.predicted else "–"

    @property
    def next(self) -> str:
        """The first exercise that is not solved, or an empty text."""
        return next((name for name, done in self.done.items() if not done), "")


def progress(*, questions: Mapping[str, Question] | None = None) -> Progress:
    """Return the lessons, how many of each one's exercises you have solved, and where to go on."""
    questions, done = all_questions() if questions is None else questions, solved()
    measured = [made for made in predictions().values() if made.right is not None]
    lessons = [
        _Exercises(
            lesson,
            {name: name in done for name in sorted(questions) if name.startswith(f"{lesson.number}-")},
            [made for made in measured if made.name.startswith(f"{lesson.number}-")],
        )
        for lesson in LESSONS
    ]
    right, total = sum(each.solved for each in lessons), sum(len(each.done) for each in lessons)
    said = f"You have solved {right} of {total} exercises."
    # on from where the learner was last, not back to what was left out
    begun = max((index for index, each in enumerate(lessons) if each.solved), default=0)
    onward = next((each for each in [*lessons[begun:], *lessons] if each.next), None)
    said += f" Go on with {onward.next}, in lesson {onward.lesson.number}." if onward else " That is all of them."
    foretold, guesses = _calibration(measured), sum(each.right for each in lessons)
    lines = [
        said,
        *(
            f"  {each.marks:<6} {each.score:>7} {each.calibration:>7}  {each.lesson.number} {each.lesson.title}"
            for each in lessons
        ),
        foretold,
    ]
    html = f"<strong>{escape(said)}</strong>{html_table(HEADS, map(_row, lessons))}<p>{escape(foretold)}</p>"
    if unkept := trouble():
        lines.append(unkept)
        html += f"<p>{escape(unkept)}</p>"
    return Progress("\n".join(lines), box("warning" if unkept else "note", html), right, total, guesses, len(measured))


def _calibration(measured: list[Predicted]) -> str:
    """Say how often the predictions were right, and what became of the others."""
    if not measured:
        return "You have made no prediction yet. Commit to one before you measure: this page counts the right ones."
    right = sum(bool(made.right) for made in measured)
    back = [made for made in measured if made.again_right is not None]
    said = f"Your first answer was right in {right} of {len(measured)} predictions."
    if back:
        later = sum(bool(made.again_right) for made in back)
        said += f" {len(back)} of the others came back later; then you were right in {later}."
    return said


def _row(each: _Exercises) -> list[str]:
    lesson = each.lesson
    return [
        f'<a href="{escape(lesson.notebook)}">{lesson.number} · {escape(lesson.title)}</a>',
        escape(lesson.learns),
        str(lesson.minutes),
        f'<span style="letter-spacing: 3px;" aria-hidden="true">{each.marks}</span>',
        each.score,
        each.calibration,
    ]
