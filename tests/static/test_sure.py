# SPDX-License-Identifier: Apache-2.0
"""No sentence compares two measured values by a bare number: a ratio comes with its interval, by `labkit.times`."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree import ROOT, short

COMPARES = re.compile(r" ?(times|as (long|many|much|fast|large|often))\b")
PART_OF_A_WHOLE = "outside / whole"  # lesson 06: of one read, what lies outside of its own stages
TIMES_TAKES = 3


def bare(text: str) -> Iterator[str]:
    """Yield each comparison by a bare number in some Python."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr):
            after = [*node.values[1:], None]
            yield from (ast.unparse(part) for part, end in zip(node.values, after, strict=True) if unsure(part, end))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("times", "labkit.times"):
            starred = any(isinstance(argument, ast.Starred) for argument in node.args)
            if len(node.args) + len(node.keywords) < TIMES_TAKES and not starred:
                yield ast.unparse(node)


def unsure(part: ast.expr, after: ast.expr | None) -> bool:
    """Is this a measured number that says how many times as much, or a quotient in per cent?"""
    if not isinstance(part, ast.FormattedValue) or part.format_spec is None:
        return False
    spec, value = ast.unparse(part.format_spec).strip("f'\""), ast.unparse(part.value)
    if spec.endswith("%"):
        sure = any(word in value for word in ("low", "high", "count")) or value == PART_OF_A_WHOLE
        return isinstance(part.value, ast.BinOp) and not sure
    said = after.value if isinstance(after, ast.Constant) else ""
    return "." in spec and COMPARES.match(str(said)) is not None


def code_of(path: Path) -> str:
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    lines = "\n".join("".join(cell["source"]) for cell in cells if not "".join(cell["source"]).startswith("%%"))
    return re.sub(r"^%.*$", "", lines, flags=re.MULTILINE)


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=short)
def test_a_notebook_compares_with_an_interval(path: Path) -> None:
    assert list(bare(code_of(path))) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("labkit/lessons/**/*.py")), ids=short)
def test_a_lessons_code_compares_with_an_interval(path: Path) -> None:
    assert list(bare(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        'print(f"it takes {cpu:.2g} times the CPU time")',
        'print(f"it takes {one / two:.0f} times as long")',
        'print(f"the timer adds {timer / nobody:.0%} to a read")',
        "labkit.times(ratio)",
    ],
)
def test_a_bare_comparison_is_seen(text: str) -> None:
    assert len(list(bare(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        'print(f"it takes {labkit.times(ratio, low, high)} as long")',
        'print(f"it ran {runs:,} times")',
        'print(f"{low / whole:.0%} to {high / whole:.0%}")',
        "labkit.times(*found)",
    ],
)
def test_what_is_sure_or_a_count_passes(text: str) -> None:
    assert list(bare(text)) == []
