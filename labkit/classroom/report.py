# SPDX-License-Identifier: Apache-2.0
"""The class's results: one CSV for Canvas and Moodle, one page with a heat map learner x exercise.

Canvas imports a CSV with the columns Student, ID, SIS User ID, SIS Login ID and Section, then one column per
assignment (Canvas Instructor Guide, "How do I import grades in the Gradebook?"). Moodle maps any column to a user field
when it imports ("Grade import" in its documentation): SIS Login ID is the user name.
"""

from __future__ import annotations

import ast
import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from pathlib import Path

from labkit.classroom.grading import Graded, learners, points_of
from labkit.classroom.steps import checked, code_of, is_literal
from labkit.course import Lesson
from labkit.errors import LabkitError
from labkit.notebook.markup import Cell, bare_table, whole_page

__all__ = ["as_csv", "as_html", "shared_literals", "write"]

_WORDS = {"right": ("1", "right"), "wrong": ("0", "wrong"), "literal": ("L", "a literal, right by chance")}
_MOST_SAID = 3
_CSS = [
    "body { overflow-wrap: anywhere; }",
    ".wide { overflow-x: auto; }",
    "table { border-collapse: collapse; }",
    "th { text-align: left; padding: 2px 8px; font-weight: 600; white-space: nowrap; }",
    "th[scope=row] { position: sticky; left: 0; background: Canvas; }",
    "td { text-align: center; padding: 2px 8px; border: 1px solid #8886; }",
    ".right { background: #1f7a3a; color: #fff; }",
    ".wrong { background: #b3401f; color: #fff; }",
    ".literal { background: #7a4fa3; color: #fff; }",
    ".blank { background: #8883; }",
]
_WHOSE = {"lab": " (the lab's own: not the learner's fault unless an earlier cell changed its names)"}


def write(folder: Path, results: Sequence[Graded]) -> tuple[Path, Path]:
    """Write grades.csv and grades.html into a class folder; return their paths."""
    table, page = folder / "grades.csv", folder / "grades.html"
    table.write_text(as_csv(folder, results), encoding="utf-8")
    page.write_text(as_html(folder, results), encoding="utf-8")
    return table, page


def _lessons(results: Sequence[Graded]) -> list[Lesson]:
    return sorted({each.lesson for each in results}, key=lambda lesson: lesson.number)


def as_csv(folder: Path, results: Sequence[Graded]) -> str:
    """Return the points: one row per learner, one column per lesson. An empty cell: nothing was handed in."""
    lessons = _lessons(results)
    points = {(each.learner, each.lesson.number): each.points for each in results}
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    heads = [f"Lab {lesson.number} {lesson.short} (of {len(points_of(lesson))})" for lesson in lessons]
    rows.writerow(["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *heads])
    for learner in learners(folder):
        name = _harmless(learner)
        rows.writerow([name, "", "", name, "", *(points.get((learner, lesson.number), "") for lesson in lessons)])
    return text.getvalue()


def _harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def shared_literals(folder: Path) -> dict[tuple[str, str], list[str]]:
    """Return (question, literal) -> the learners whose notebooks answer with this same literal, where there are many.

    Only answers that are drawn in each run: for another question the same right answer is no sign.
    """
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for learner, notebooks in learners(folder).items():
        for path in notebooks.values():
            try:
                sources = [cell["source"] for cell in code_of(path)[0]]
            except LabkitError:
                continue
            said = {
                (question, ast.unparse(answer)[:60])
                for source in sources
                for question, answer in checked(source)
                if is_literal(answer, []) and not (isinstance(answer, ast.Constant) and answer.value is ...)
            }
            for pair in said:
                found[pair].append(learner)
    return {pair: names for pair, names in sorted(found.items()) if len(names) > 1}


def as_html(folder: Path, results: Sequence[Graded]) -> str:
    """Return one page that loads nothing: heat map, failing cells, what to look at."""
    lessons = _lessons(results)
    by_pair = {(each.learner, each.lesson.number): each for each in results}
    heads = ["learner", *(name for lesson in lessons for name in points_of(lesson)), "points", "seconds"]
    rows: list[list[Cell | str]] = []
    for learner in learners(folder):
        squares = [
            _square(name, by_pair.get((learner, lesson.number))) for lesson in lessons for name in points_of(lesson)
        ]
        own = [each for each in results if each.learner == learner]
        total = [str(sum(each.points for each in own)), f"{sum(each.seconds for each in own):.0f}"]
        rows.append([Cell(escape(learner), of_row=True), *squares, *total])
    literals = [
        f"{escape(question)}: {escape(literal)} in {len(names)} notebooks: {escape(', '.join(names))}"
        for (question, literal), names in shared_literals(folder).items()
    ]
    return whole_page(
        "Grades of the class",
        f"""<p>1: right, one point. 0: wrong. L: right, but written as a literal although the answer is drawn in each
run: no point. ·: no answer. Empty: no notebook. Point at a square for the verdict.</p>
<div class="wide" tabindex="0">{bare_table(heads, rows)}</div>
<h2>Cells that failed</h2>
{_list([line for each in results for line in _failures(each)], "No cell failed.")}
<h2>To look at</h2>
<p>None of this changes a point. Ask the learner.</p>
{_list([line for each in results for line in _signs(each)], "Nothing.")}
<h2>The same literal in several notebooks</h2>
{_list(literals, "No literal is in two notebooks.")}""",
        width_em=90,
        css=_CSS,
    )


def _square(question: str, graded: Graded | None) -> Cell:
    if graded is None:
        return Cell("&nbsp;", f'class="none" title="{question}: no notebook was handed in"')
    answer = graded.answers.get(question)
    if answer is None:
        return Cell("·", f'class="blank" title="{question}: no answer was judged"')
    sign, word = _WORDS.get(answer["state"], ("?", "unknown"))
    said = escape(" ".join(str(answer["said"]).splitlines()[:_MOST_SAID]), quote=True)
    return Cell(sign, f'class="{escape(answer["state"])}" title="{question}: {word}. {said}"')


def _failures(graded: Graded) -> list[str]:
    who = f"<strong>{escape(graded.learner)}</strong>, lesson {graded.lesson.number}"
    lines = []
    for each in graded.failures:
        whose, error = _WHOSE.get(each["kind"], ""), " ".join(str(each["error"]).splitlines()[:2])
        lines.append(f"{who}, cell {each['cell']}{whose}: <code>{escape(error)}</code>")
    return [*lines, f"{who}: {escape(graded.ended)}"] if graded.ended else lines


def _signs(graded: Graded) -> list[str]:
    return [
        f"<strong>{escape(graded.learner)}</strong>, lesson {graded.lesson.number}: {escape(sign)}"
        for sign in graded.signs
    ]


def _list(lines: Sequence[str], nothing: str) -> str:
    return f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>" if lines else f"<p>{nothing}</p>"
