# SPDX-License-Identifier: Apache-2.0
"""The reference's pages: one for what every notebook uses, one per lesson, one per layer below them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType

import labkit
from labkit.course import LESSONS

LAYERS = {
    "notebook": "What every lesson's page is made of",
    "bpf": "BPF programs",
    "running": "C workloads and what is measured around them",
    "stats": "Statistics",
    "machine": "What this machine is and can do",
}
SINGLE = ("errors", "schema", "course")


def write_reference(to: Path) -> None:
    """Write the pages of the reference, in reStructuredText, into the folder `to`."""
    to.mkdir(parents=True)
    pages = {"labkit": _page("labkit: what every notebook uses", [labkit], named=True)}
    for lesson in LESSONS:
        module = import_module(f"labkit.lessons.{lesson.stem}")
        pages[lesson.stem] = _page(f"Lesson {lesson.number}: labkit.lessons.{lesson.stem}", [module], named=True)
    for layer, title in LAYERS.items():
        package = import_module(f"labkit.{layer}")
        names = [package.__name__, *(each.name for each in walk_packages(package.__path__, f"{package.__name__}."))]
        pages[f"{layer}-layer"] = _page(f"labkit.{layer}: {title}", [import_module(name) for name in sorted(names)])
    pages["single"] = _page("labkit: errors, columns, lessons", [import_module(f"labkit.{name}") for name in SINGLE])
    for name, text in pages.items():
        (to / f"{name}.rst").write_text(text, encoding="utf-8")
    head = "Reference of labkit\n===================\n\nMade from the docstrings.\n\n.. toctree::\n"
    (to / "index.rst").write_text(head + "".join(f"\n   {name}" for name in pages) + "\n", encoding="utf-8")


def _page(title: str, modules: list[ModuleType], *, named: bool = False) -> str:
    parts = [f"{title}\n{'=' * len(title)}\n"]
    for module in modules:
        public = [name for name in _public(module) if not _is_plain(module, name)]
        if not public:
            continue
        if not named:
            parts.append(f"{module.__name__}\n{'-' * len(module.__name__)}\n")
        parts.append(f".. automodule:: {module.__name__}\n   :no-members:\n")
        parts += [_entry(module, name, everywhere=named) for name in public]
    return "\n".join(parts)


def _public(module: ModuleType) -> list[str]:
    """Return the names that a module offers: its `__all__`, else the classes and functions that it defines."""
    own = [name for name, found in vars(module).items() if getattr(found, "__module__", "") == module.__name__]
    return getattr(module, "__all__", [name for name in own if not name.startswith("_")])


def _is_plain(module: ModuleType, name: str) -> bool:
    """Return whether a name is a constant, which has no docstring of its own."""
    found = getattr(module, name)
    return not (callable(found) and getattr(found, "__doc__", None))


def _entry(module: ModuleType, name: str, *, everywhere: bool) -> str:
    found = getattr(module, name)
    if not everywhere and getattr(found, "__module__", module.__name__) != module.__name__:
        return ""  # described where it is defined
    kind = "autoclass" if isinstance(found, type) else "autofunction"
    members = "   :members:\n" if kind == "autoclass" else ""
    return f".. {kind}:: {module.__name__}.{name}\n{members}"
