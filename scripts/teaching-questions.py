# SPDX-License-Identifier: Apache-2.0
"""Write docs/teaching-questions.md from the lessons: every prediction, every exercise, and the mistakes it recognises.

    python scripts/teaching-questions.py            write the page
    python scripts/teaching-questions.py --check    say whether it is as the lessons are; 1 if not

The predictions are those of the notebooks; the reply to each wrong choice, and the exercises, are those of
labkit/lessons/*/questions.py.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Iterator

from labkit.course import LESSONS
from labkit.machine.folders import repo_folder

PAGE = repo_folder() / "docs/teaching-questions.md"
NOTEBOOKS = repo_folder() / "notebooks"
HEAD = """# What to ask before each lesson, and which mistakes to expect

This page is made from the lessons by `python scripts/teaching-questions.py`. A test fails where it is not as they are.

A prediction comes before its measurement. Ask it in the room, let everybody commit, and count the hands. Do not give
the answer: the next cell measures it. Below each question is what the lab replies to each wrong choice: the idea behind
it, and which number speaks against it. Ask about that afterwards.
"""
EXERCISES = "*Exercises.* A wrong answer of a kind that the lab knows gets its hint. All others get a general one."


def predictions(path: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the name and the question of each prediction of a notebook, with its choices if they are written there."""
    for cell in json.loads((NOTEBOOKS / path).read_text())["cells"]:
        if cell["cell_type"] != "code" or "predict(" not in (source := "".join(cell["source"])):
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "predict":
                question, *rest = node.args
                choices = ast.literal_eval(rest[0]) if rest and isinstance(rest[0], ast.List) else []
                name = next(word.value for word in node.keywords if word.arg == "name")
                yield ast.literal_eval(name), str(ast.literal_eval(question)), [str(choice) for choice in choices]


def hints(package: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the key, the question and the hints of each exercise of a lesson."""
    questions = importlib.import_module(f"labkit.lessons.{package}.questions").QUESTIONS
    for key, question in questions.items():
        yield key, question.ask, [hint.say for hint in question.hints]


def line(text: str) -> str:
    """Return a text as one line of Markdown: outside of `code` a star or a bracket is itself."""
    return re.sub(r"(`[^`]*`)|([*<])", lambda found: found[1] or f"\\{found[2]}", " ".join(text.split()))


def made() -> str:
    """Return the page as it should be: lists, because a table of sentences cannot be read on a phone."""
    parts = [HEAD]
    for lesson in LESSONS:
        parts.append(f"\n## {lesson.number} {lesson.short}\n")
        replies = importlib.import_module(f"labkit.lessons.{lesson.stem}.questions").PREDICTIONS
        for name, question, choices in predictions(lesson.notebook):
            among = f" ({line(' / '.join(choices))})" if choices else ""
            parts.append(f"\n**{line(question)}**{among}\n\n")
            parts += [f"- *{line(choice)}*: {line(text)}\n" for choice, text in replies[name].wrong.items()]
        exercises = list(hints(lesson.stem))
        if exercises:
            parts.append(f"\n{EXERCISES}\n\n")
        for key, ask, said in exercises:
            parts.append(f"- **{key}** {line(ask)}\n")
            parts += [f"  - {line(hint)}\n" for hint in said]
    return "".join(parts)


def main() -> int:
    """Write or check the page; return the exit status."""
    new = made()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(new)
        return 0
    if PAGE.read_text() == new:
        return 0
    fix = "Fix: python scripts/teaching-questions.py"
    print(f"docs/teaching-questions.md is not as the lessons are.\n{fix}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
