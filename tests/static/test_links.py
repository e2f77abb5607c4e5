# SPDX-License-Identifier: Apache-2.0
"""Links between pages of the tree lead to a file, and to a heading of it. `make docs` checks them again, rendered."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tree import ROOT, named, short

LOCAL = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")
PAGES = [path for path in named(".md", ".ipynb") if ".github" not in path.parts]


def prose(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Return what a link may name after `#`: headings as GitHub spells them, and the glossary's terms."""
    text = path.read_text(encoding="utf-8")
    heads = [re.sub(r"[`*]", "", head).strip().lower() for head in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    terms = re.findall(r"^- \*\*([^*]+)\*\* \(\d\d\): ", text, re.MULTILINE)  # the site's glossary has their anchors
    names = {re.sub(r"[^a-z0-9_]+", "-", term.lower().replace("'", "")) for term in terms}
    return names | {re.sub(r"[^\w -]", "", head).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES, ids=short)
def test_a_link_leads_somewhere(path: Path) -> None:
    wrong = []
    for link in LOCAL.findall(prose(path)):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or not target.is_relative_to(ROOT) or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []
