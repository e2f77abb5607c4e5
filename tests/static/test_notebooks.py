# SPDX-License-Identifier: Apache-2.0
"""Every notebook is fit to be read, and to be run by anybody."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tree import ROOT, named, short

from labkit import schema
from labkit.notebook.source import source

MOST_LINES = 15  # one idea a cell
MOST_LINES_OF_C = 30  # a program of two ends is one idea
NOTEBOOKS = named(".ipynb")
LESSONS = [path for path in NOTEBOOKS if path.parent.name == "notebooks"]
# A shell line, a path of this machine, an import from elsewhere: what does not work on the next machine.
FOREIGN = re.compile(
    r"sys\.path|^\s*!\s*(?:pip|apt|sudo|cd|rm)\b|^\s*%(?:pip|conda|cd|sx|system)\b|pip install|get_ipython\(",
    re.MULTILINE,
)


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def sources(path: Path, kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in load(path)["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=short)
def test_it_names_its_kernel(path: Path) -> None:
    """JupyterLab waits forever for a notebook that does not."""
    assert load(path)["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=short)
def test_outputs_are_stripped(path: Path) -> None:
    cells = [cell for cell in load(path)["cells"] if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in cells if cell["outputs"] or cell["execution_count"] is not None] == []
    assert not load(path)["metadata"].get("widgets")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=short)
def test_every_cell_has_an_id_of_its_own(path: Path) -> None:
    ids = [cell.get("id") for cell in load(path)["cells"]]
    assert all(ids) and len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=short)
def test_code_cells_are_short(path: Path) -> None:
    def most(source: str) -> int:
        return MOST_LINES_OF_C if source.startswith("%%bpf") else MOST_LINES

    assert [source for source in sources(path, "code") if len(source.splitlines()) > most(source)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=short)
def test_what_a_cell_makes_to_be_shown_is_shown(path: Path) -> None:
    """Jupyter shows only what the last line of a cell returns; a table before that needs `display`."""
    hidden = []
    for written in sources(path, "code"):
        cell = ast.parse("" if written.startswith("%%") else re.sub(r"^%.*", "", written, flags=re.MULTILINE))
        lines = [node.value for node in ast.walk(cell) if isinstance(node, ast.Expr) and node is not cell.body[-1]]
        hidden += [said for said in map(ast.unparse, lines) if said.startswith("labkit.")]
    assert hidden == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=short)
def test_no_cell_is_empty(path: Path) -> None:
    assert all("".join(cell["source"]).strip() for cell in load(path)["cells"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=short)
def test_code_is_not_tied_to_a_machine(path: Path) -> None:
    assert [source for source in sources(path, "code") if FOREIGN.search(source)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=short)
def test_one_title_and_it_comes_first(path: Path) -> None:
    text = "\n".join(re.sub(r"```.*?```", "", source, flags=re.DOTALL) for source in sources(path, "markdown"))
    titles = re.findall(r"^# .+", text, re.MULTILINE)
    assert len(titles) == 1
    assert "".join(load(path)["cells"][0]["source"]).startswith("# ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=short)
def test_links_within_the_tree_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", "\n".join(sources(path, "markdown")))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", LESSONS, ids=short)
def test_a_lesson_begins_with_what_this_machine_can_do(path: Path) -> None:
    assert f'labkit.ready("{path.name[:2]}")' in sources(path, "code")[0]


@pytest.mark.parametrize("path", LESSONS, ids=short)
def test_a_lesson_has_three_exercises_or_more(path: Path) -> None:
    checks = set(re.findall(rf'labkit\.check\("({path.name[:2]}-q\d+)"', "\n".join(sources(path, "code"))))
    assert len(checks) >= 3


@pytest.mark.parametrize("path", LESSONS, ids=short)
def test_a_lesson_has_the_shape_of_the_others(path: Path) -> None:
    text = "\n".join(sources(path, "markdown"))
    assert re.findall(r"- \*\*(You \w+ \w+|You \w+):\*\*", text)[:3] == ["You will do", "You will learn", "You need"]
    _, exercises = re.split(r"^## (?:Three e|E)xercises$", text, flags=re.MULTILINE)
    assert re.findall(r"^## (.+)", exercises, re.MULTILINE) == ["In practice", "Read on"]
    assert "What bites:" in exercises
    folds = re.findall(r"<summary>(\w+)", exercises)
    assert folds[0] == ("Solutions" if path.name.startswith("00") else "Hints") and "Hints" not in folds[1:]
    hints = re.findall(r"^- (.+)", exercises.partition("<summary>Hints")[2].partition("</details>")[0], re.MULTILINE)
    assert [hint for hint in hints if not re.match(r"\d( and \d)?: ", hint)] == []


@pytest.mark.parametrize("path", LESSONS, ids=short)
def test_a_lesson_links_its_neighbours(path: Path) -> None:
    text = "\n".join(sources(path, "markdown"))
    number = int(path.name[:2])
    neighbours = [other for other in LESSONS if abs(int(other.name[:2]) - number) == 1]
    assert [other.name for other in neighbours if other.name not in text] == []


@pytest.mark.parametrize("path", LESSONS, ids=short)
def test_every_lesson_that_is_linked_exists(path: Path) -> None:
    text = "\n".join(sources(path, "markdown"))
    linked = re.findall(r"\]\((\d\d-[\w-]+\.ipynb)\)", text)
    assert [name for name in linked if not (path.parent / name).exists()] == []


@pytest.mark.parametrize("path", LESSONS, ids=short)
def test_what_may_be_recorded_has_its_recording(path: Path) -> None:
    asked = re.findall(r'labkit\.measured\(\s*"(\d\d)", "([\w-]+)"', "\n".join(sources(path, "code")))
    files = [path.parent / "recorded" / f"{lesson}-{name}{end}" for lesson, name in asked for end in (".csv", ".json")]
    assert [file.name for file in files if not file.exists()] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/recorded/*.json")), ids=lambda path: path.stem)
def test_a_recording_tells_its_kernel_and_nobodys_folders(path: Path) -> None:
    told = json.loads(path.read_text())
    assert told["kernel"]
    assert not re.search(r"(^| )/(?!usr/|proc/|dev/|sys/)", str(told.get("command", "")))


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/recorded/*.csv")), ids=lambda path: path.stem)
def test_a_recording_has_columns_of_today(path: Path) -> None:
    columns = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert [name for name in columns if name not in schema.COLUMNS] == []


def test_there_are_lessons() -> None:
    assert ROOT / "notebooks" in {path.parent for path in LESSONS}


SHOWN = re.compile(r'labkit\.source\("([^"]+)"(?:, "([^"]+)")?\)')


@pytest.mark.parametrize("path", LESSONS, ids=short)
def test_every_file_and_function_that_a_notebook_shows_is_there(path: Path) -> None:
    for cell in sources(path, "code"):
        for file, part in SHOWN.findall(cell):
            assert source(file, part or None).text
