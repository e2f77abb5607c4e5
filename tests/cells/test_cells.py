# SPDX-License-Identifier: Apache-2.0
"""Cells as learners type them get the line, the cause and the fix that the table says; the kernel is the judge."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from answers import answer

CELLS = Path(__file__).with_name("cells")
TABLE = Path(__file__).with_name("expected.txt")


@dataclass(frozen=True)
class Expected:
    name: str
    accepted: bool
    line: int
    words: tuple[str, ...]


def table() -> list[Expected]:
    rows = []
    for text in TABLE.read_text(encoding="utf-8").splitlines():
        if text.strip() and not text.startswith("#"):
            name, outcome, line, *words = text.split(None, 3)
            wanted = tuple(each.strip() for each in words[0].split(" & ")) if words else ()
            rows.append(Expected(name, outcome == "accepted", int(line), wanted))
    return rows


def check(cell: str, expected: Expected, folder: Path) -> None:
    got = answer(cell, folder)
    assert (got.accepted, got.line) == (expected.accepted, expected.line), got.text
    for word in expected.words:
        found = re.search(word.removeprefix("!"), got.text, re.MULTILINE)
        assert bool(found) != word.startswith("!"), f"{word}\n{got.text}"


@pytest.mark.bpf
@pytest.mark.parametrize("expected", table(), ids=lambda row: row.name)
def test_a_cell_gets_the_answer_that_the_table_says(expected: Expected, tmp_path: Path) -> None:
    check((CELLS / f"{expected.name}.c").read_text(encoding="utf-8"), expected, tmp_path)
