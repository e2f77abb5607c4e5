# SPDX-License-Identifier: Apache-2.0
"""The pages for who takes over name files that are there, and one call of `measure` is followed in a few of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tree import ROOT

ARCHITECTURE = ROOT / "docs/architecture.md"
MOST_PYTHON, MOST_C = 10, 4  # files
NAMED = [
    (page, name)
    for page in ("docs/architecture.md", "docs/when-bcc-changes.md", "docs/kernels.md")
    for name in sorted(set(re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|c|h))`", (ROOT / page).read_text())))
]


def found(name: str) -> Path | None:
    """Return the file that a page names, from the root or from labkit/."""
    return next((path for path in (ROOT / name, ROOT / "labkit" / name) if path.exists()), None)


def call_tree() -> str:
    """Return the lines between those of the panel."""
    (block,) = re.findall(r"^```\n(notebook/panel.*?)^```$", ARCHITECTURE.read_text(), re.DOTALL | re.MULTILINE)
    return str(block).partition("\n")[2].rpartition("notebook/panel/panel.py")[0]


@pytest.mark.parametrize(("page", "name"), NAMED)
def test_a_page_names_files_that_are_there(page: str, name: str) -> None:
    assert found(name) is not None


def test_one_measure_is_followed_in_ten_python_files_and_four_c_files() -> None:
    files = set(re.findall(r"[\w/]+/\w+\.(?:py|c)\b", call_tree()))
    assert [name for name in files if found(name) is None] == []
    assert len([name for name in files if name.endswith(".py")]) <= MOST_PYTHON
    assert len([name for name in files if name.endswith(".c")]) <= MOST_C
    # each is used by another of them: what measure imports, and what those import
    text = "".join(path.read_text() for name in files if (path := found(name)) is not None)
    modules = ["labkit." + name.removesuffix(".py").replace("/", ".") for name in files if name.endswith(".py")]
    imports = [re.compile(rf"from {name} import|from {' import .*'.join(name.rsplit('.', 1))}") for name in modules]
    unused = [each.pattern for each in imports if not each.search(text) and "rates" not in each.pattern]
    assert unused == []


def test_the_functions_of_the_call_tree_are_there() -> None:
    for path, function in re.findall(r"(\S+\.(?:py|c))\s+(\w+)\(", call_tree()):
        source = found(path)
        assert source is not None and re.search(rf"^(def|class|[\w *]+?) ?\*?{function}\(", source.read_text(), re.M)


def test_each_python_file_of_the_call_tree_is_named_once() -> None:
    names = re.findall(r"^\s*(\S+\.py)", call_tree(), re.MULTILINE)
    assert len(names) - len(set(names)) == 1  # rates.py begins and ends it
