# SPDX-License-Identifier: Apache-2.0
"""Imports go down only: lessons -> notebook -> bpf, running, stats -> machine -> course, errors, schema."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from tree import ROOT, named, short

# The higher may import the lower and its own kind. `runner` and `classroom` run notebooks; `cli` is on top.
HEIGHT = {
    "errors": 0,
    "units": 0,
    "schema": 1,
    "course": 1,
    "machine": 2,
    "running": 3,
    "stats": 3,
    "bpf": 4,
    "notebook": 5,
    "lessons": 6,
    "runner": 7,
    "classroom": 7,
    "cli": 8,
    "__main__": 9,
    "__init__": 9,
}
ONLY_IN_NOTEBOOKS = {"IPython", "ipympl", "ipywidgets", "matplotlib"}
# of a lesson, what a learner sees; the rest measures, and knows nothing of notebooks
SHOWING = ("panel", "plot", "questions", "findings", "__init__")
# names of others that begin with an underscore: protocols of IPython and ctypes; what nbclient gives to atexit
PROTOCOLS = {"_repr_mimebundle_", "_repr_html_", "_render_traceback_", "_fields_", "_cleanup_kernel"}
PYTHON = named(".py", under="labkit")


def layer(path: Path) -> str:
    return path.relative_to(ROOT / "labkit").parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a module imports, anywhere in it."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def measures(path: Path) -> bool:
    """Return whether a file is below what is shown in a notebook."""
    if layer(path) == "lessons":
        return not path.stem.startswith(SHOWING)
    return HEIGHT[layer(path)] < HEIGHT["notebook"]


def lesson_of(name: str) -> str:
    """Return the lesson that a dotted name belongs to, or an empty text."""
    parts = name.split(".")
    return parts[2] if len(parts) > 2 and parts[:2] == ["labkit", "lessons"] else ""


@pytest.mark.parametrize("path", PYTHON, ids=short)
def test_imports_go_down_only(path: Path) -> None:
    own = HEIGHT[layer(path)]
    names = [name.split(".")[1] for name in imported(path) if name.startswith("labkit.")]
    # A name of labkit itself, such as labkit.check, is the public face: for notebooks, not for the library.
    up = [name for name in names if HEIGHT.get(name, 9) > own]
    assert up == []


def circles(imports: dict[str, set[str]]) -> list[str]:
    """Return the modules that import each other in a circle: no order is left in which they can be read."""
    left = dict(imports)
    while ground := [name for name, wanted in left.items() if not wanted & left.keys()]:
        for name in ground:
            del left[name]
    while tops := [name for name in left if not any(name in wanted for wanted in left.values())]:
        for name in tops:
            del left[name]
    return sorted(left)


def test_no_files_import_each_other_in_a_circle() -> None:
    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in PYTHON}
    imports = {
        # `from package import module` is of the module, anything else of the file that has the name
        name: {found if found in paths else found.rpartition(".")[0] for found in imported(path)} - {name}
        for name, path in paths.items()
    }
    assert circles(imports) == []


def test_no_c_files_include_each_other_in_a_circle() -> None:
    paths = [*named(".c", ".cc", ".h", under="c")]
    includes: dict[str, set[str]] = {short(path.with_suffix("")): set() for path in paths}  # a .c and its .h are one
    for path in paths:
        own = short(path.with_suffix(""))
        for name in re.findall(r'^#include "([\w/]+)\.h"', path.read_text(), re.MULTILINE):
            places = [short(path.parent / name), f"c/workloads/common/{name}"]
            includes[own] |= {place for place in places if place in includes} - {own}
    assert circles(includes) == []


def test_a_circle_is_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == ["b", "c"]


@pytest.mark.parametrize("path", named(".py", under="labkit/lessons"), ids=short)
def test_no_lesson_imports_another(path: Path) -> None:
    own = path.relative_to(ROOT / "labkit/lessons").parts[0]
    others = {lesson_of(name) for name in imported(path)} - {"", own}
    assert [name for name in others if not name.startswith("_")] == []  # _io is what several share


@pytest.mark.parametrize("path", [path for path in PYTHON if measures(path)], ids=short)
def test_nothing_of_notebooks_below_them(path: Path) -> None:
    names = set(imported(path))
    assert {name.split(".")[0] for name in names} & ONLY_IN_NOTEBOOKS == set()
    assert [name for name in names if name.startswith("labkit.notebook.")] == []


@pytest.mark.parametrize("path", [path for path in PYTHON if measures(path)], ids=short)
def test_nothing_prints_below_notebooks(path: Path) -> None:
    if "__main__" in path.read_text():
        return  # a program of its own, which is watched or asked: what it prints is for the one who started it
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = [call.func.id for call in calls if isinstance(call.func, ast.Name)]
    assert not {"print", "exit", "quit"} & set(names)


@pytest.mark.parametrize("path", PYTHON, ids=short)
def test_what_all_names_is_there(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    public = [ast.literal_eval(node.value) for node in assigned if ast.unparse(node.targets[0]) == "__all__"]
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    if public and layer(path) != "__main__":
        assert [name for name in public[0] if not hasattr(import_module(module), name)] == []
        assert len(set(public[0])) == len(public[0])


@pytest.mark.parametrize("path", PYTHON, ids=short)
def test_nobody_imports_anothers_private_names(path: Path) -> None:
    private = [name for name in imported(path) if name.startswith("labkit.") and name.split(".")[-1].startswith("_")]
    assert private == []


@pytest.mark.parametrize("path", PYTHON, ids=short)
def test_nobody_touches_anothers_private_names(path: Path) -> None:
    """Neither `module._name` of an imported module, nor `object._name` of an object that is not self or cls."""
    tree = ast.parse(path.read_text())
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    touched = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and re.match(r"_[a-z]", node.attr)
        and node.attr not in PROTOCOLS
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls", "other", "os", "sys", *own})
    ]
    assert touched == []
