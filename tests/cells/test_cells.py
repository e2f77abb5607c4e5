# SPDX-License-Identifier: Apache-2.0
"""Cells as learners type them get the line, the cause and the fix that the table says; the kernel is the judge."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from answers import answer
from families import Program, programs

ALL = "LABKIT_ALL_CELLS"
FEW = 8
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


def _families() -> list[Program]:
    """Return every program of the families, or one in FEW of them where the machine has not much time."""
    found = list(programs())
    return found if os.environ.get(ALL) else found[::FEW]


@pytest.mark.bpf
@pytest.mark.parametrize("program", _families(), ids=lambda program: program.name)
def test_each_spelling_of_a_mistake_gets_its_line_and_its_cause(program: Program, tmp_path: Path) -> None:
    words = tuple(each.strip() for each in program.words.split(" & ") if each)
    check(program.cell, Expected(program.name, program.accepted, program.line, words), tmp_path)


def test_there_are_two_hundred_spellings_of_mistakes() -> None:
    found = list(programs())
    assert len({program.name for program in found}) == len(found) >= 200


@pytest.mark.skipif(bool(os.environ.get(ALL)), reason="all of them run")
def test_the_others_are_named() -> None:
    pytest.skip(f"{ALL}=1 runs all {len(list(programs()))} programs of the families; one in {FEW} ran")
