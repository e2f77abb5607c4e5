"""Imports go down only: show -> experiments -> engine -> machine -> errors, schema."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from tree import ROOT, named, short

# The higher may import the lower and its own kind. `lessons` runs notebooks from outside, `cli` is on top.
HEIGHT = {
    "errors": 0,
    "schema": 0,
    "machine": 1,
    "engine": 2,
    "experiments": 3,
    "show": 4,
    "lessons": 5,
    "cli": 6,
    "__main__": 7,
    "__init__": 7,
}
ONLY_IN_SHOW = {"IPython", "ipywidgets", "matplotlib"}
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


@pytest.mark.parametrize("path", PYTHON, ids=short)
def test_imports_go_down_only(path: Path) -> None:
    own = HEIGHT[layer(path)]
    names = [name.split(".")[1] for name in imported(path) if name.startswith("labkit.")]
    # A name of labkit itself, such as labkit.check, is the public face: for notebooks, not for the library.
    up = [name for name in names if HEIGHT.get(name, 7) > own]
    assert up == []


@pytest.mark.parametrize("path", [path for path in PYTHON if HEIGHT[layer(path)] < HEIGHT["show"]], ids=short)
def test_nothing_of_ipython_below_show(path: Path) -> None:
    assert {name.split(".")[0] for name in imported(path)} & ONLY_IN_SHOW == set()


@pytest.mark.parametrize("path", [path for path in PYTHON if HEIGHT[layer(path)] < HEIGHT["show"]], ids=short)
def test_nothing_prints_below_show(path: Path) -> None:
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
