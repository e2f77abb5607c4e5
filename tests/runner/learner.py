# SPDX-License-Identifier: Apache-2.0
"""A learner who runs every cell of a lesson, gives wrong answers, then those of the solutions, and tries the hints."""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from labkit.machine.folders import repo_folder
from labkit.notebook.exercises import all_questions
from labkit.runner.lesson import Lesson

EXECUTED: dict[str, Any] = {}  # stem -> the lesson with its outputs, once this test run has followed it
WRONG = ("-1", "'nonsense'", "None", "[]", "1e18", "object()")
_SOLUTIONS = re.compile(r"<summary>Solutions?\b[^<]*</summary>\n+```python\n(.*?)```", re.DOTALL)
_HINTS = re.compile(r"<summary>Hints</summary>(.*?)</details>", re.DOTALL)
_MADE = re.compile(r"^(?:%%bpf |from \S+ import |import )?(\w+(?:, \w+)*)(?: = | --|$)", re.MULTILINE)
_QUESTION = re.compile(r"labkit\.check\(\"(\d\d-q\d+)\"")


@dataclass(frozen=True)
class Followed:
    """How a lesson ended."""

    error: str
    facts: dict[str, Any]
    questions: list[str]
    wrong_accepted: list[str]  # "01-q2: -1", a wrong answer that was taken as right
    solved: list[str]
    starts: dict[str, str]  # what is said of the program that an exercise begins with, by question


def follow(stem: str, facts: str, folder: Path, instead: Mapping[str, str] | None = None) -> Followed:
    """Execute a lesson headless and quick, then its solutions.

    Parameters
    ----------
    stem : the notebook's name, such as "01-hello".
    facts : Python that gives a dict of plain values from the lesson's own variables, to be asserted by a test.
    folder : an empty folder to work in.
    instead : words of the solutions -> what this kernel has instead, where the lesson's text says so.
    """
    notebook = nbformat.read(repo_folder() / "notebooks" / f"{stem}.ipynb", as_version=4)
    own = list(notebook.cells)
    text = "\n".join(cell.source for cell in own)
    questions = list(dict.fromkeys(_QUESTION.findall(text)))
    wrong = [f"{question}: {answer}" for question in questions for answer in WRONG]
    tries = ", ".join(
        f"{f'{question}: {answer}'!r}: labkit.check({question!r}, {answer}).ok"
        for question in questions
        for answer in WRONG
    )
    begun = [question for question in questions if (known := all_questions().get(question)) is not None and known.judge]
    starts = [f"{name!r}: labkit.check({name!r}, {_program(text, name)}).text" for name in begun]
    notebook.cells += [
        nbformat.v4.new_code_cell(code)
        for code in (
            f"import json\nprint(json.dumps({{{tries}}}))",
            f"print(json.dumps({{{', '.join(starts)}}}))",
            *(_in_words_of_this_kernel(code, instead or {}) for code in _SOLUTIONS.findall(text)),
            *_recipes(text),
            "from labkit.notebook.solved import solved\nprint(json.dumps(sorted(solved())))",
            f"print(json.dumps({facts}, default=lambda value: value.item()))",  # NumPy's numbers too
        )
    ]
    work = folder / "work"
    work.mkdir()
    said: list[str] = []
    error = Lesson(stem, notebook, work, quick=True, timeout_s=300, say=said.append).execute()
    if error:
        return Followed(error, {}, questions, wrong, [], {})
    EXECUTED[stem] = nbformat.v4.new_notebook(cells=own, metadata=notebook.metadata)
    printed = (_printed(cell) for cell in notebook.cells if cell.cell_type == "code")
    tried, said_of, *_, solved, found = (value for value in printed if value is not None)
    return Followed("", found, questions, [name for name, taken in tried.items() if taken], solved, said_of)


def _recipes(text: str) -> list[str]:
    """Return the Python of a lesson's hints that uses nothing but what its cells have made: each must run."""
    made = {name for found in _MADE.findall(text) for name in found.split(", ")} | set(dir(builtins))
    found = []
    for code in re.findall(r"`([^`]+)`", " ".join(_HINTS.findall(text))):
        try:
            tree = ast.parse(code, mode="eval")
        except SyntaxError:
            continue  # C, or a part of an expression
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if names <= made and any(isinstance(node, ast.Call) for node in ast.walk(tree)):
            found.append(code)
    return found


def _in_words_of_this_kernel(code: str, instead: Mapping[str, str]) -> str:
    for word, other in instead.items():
        code = code.replace(word, other)
    return code


def _program(text: str, question: str) -> str:
    """Return the name of the program that an exercise begins with: of the last cell before its check."""
    return re.findall(r"^%%bpf (\w+)", text.partition(f'labkit.check("{question}"')[0], re.MULTILINE)[-1]


def _printed(cell: Any) -> Any:
    """Return the JSON that a cell printed, or None."""
    text = "".join(output.get("text", "") for output in cell.get("outputs", []))
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None
