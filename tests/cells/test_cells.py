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
from learners import typed

from labkit.bpf.bcc import program_type
from labkit.bpf.diagnose.events import kprobe_advice
from labkit.bpf.text import Source
from labkit.bpf.verifier.repair import Repair, passes

ALL = "LABKIT_ALL_CELLS"
FEW = 12
CELLS = Path(__file__).with_name("cells")
HABITS = [Path(__file__).with_name(name) for name in ("habits.txt", "slips.txt")]
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


def habits() -> list[tuple[Expected, str]]:
    """Return the cells of the two files: "=== name : outcome : line : --kind or - : words", and the C below it."""
    found = []
    for block in "".join(path.read_text(encoding="utf-8") for path in HABITS).split("=== ")[1:]:
        head, _, text = block.partition("\n")
        name, outcome, line, kind, words = (each.strip() for each in [*head.split(" : ", 4), ""][:5])
        wanted = tuple(each.strip() for each in words.split(" && ") if each.strip())
        option = "" if kind == "-" else f" --kind {kind}"
        found.append((Expected(name, outcome == "accepted", int(line), wanted), f"// %%bpf cell{option}\n{text}"))
    return found


def _few(found: list[tuple[Expected, str]]) -> list[tuple[Expected, str]]:
    return found if os.environ.get(ALL) else found[::FEW]


@pytest.mark.bpf
@pytest.mark.parametrize(("expected", "cell"), _few(habits()), ids=lambda each: getattr(each, "name", ""))
def test_a_habit_or_a_slip_gets_its_answer(expected: Expected, cell: str, tmp_path: Path) -> None:
    check(cell, expected, tmp_path)


def test_no_cell_of_the_habits_is_twice_there() -> None:
    assert len({row.name for row, _ in habits()}) == len(habits()) >= 260


def _families() -> list[Program]:
    """Return every program of the families, or one in FEW of them if there is little time."""
    found = list(programs())
    return found if os.environ.get(ALL) else found[::FEW]


@pytest.mark.bpf
@pytest.mark.parametrize("program", list(typed()), ids=lambda program: program.name)
def test_a_typed_program_gets_its_line_its_cause_and_a_fix(program: Program, tmp_path: Path) -> None:
    words = tuple(each.strip() for each in program.words.split(" & ") if each)
    check(program.cell, Expected(program.name, program.accepted, program.line, words), tmp_path)


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
    count = len(list(programs())) + len(habits())
    pytest.skip(f"{ALL}=1 runs all {count} programs of the families and habits; one in {FEW} ran")


@pytest.mark.bpf
def test_a_kernel_function_that_cannot_be_probed_says_why() -> None:
    has_kprobes = Path("/sys/kernel/tracing/kprobe_events").exists()
    assert ("no kprobes" in kprobe_advice("vfs_raed")) != has_kprobes
    if has_kprobes:
        assert "did you mean vfs_read?" in kprobe_advice("vfs_raed")
    else:
        assert "TRACEPOINT_PROBE(syscalls, sys_enter_clone)" in kprobe_advice("__x64_sys_clone")


@pytest.mark.bpf
def test_a_repair_that_the_kernel_refuses_is_not_called_verified(tmp_path: Path) -> None:
    path = tmp_path / "cell.c"
    path.write_text("int probe(void *ctx)\n{\n    return *(int *)7;\n}\n")
    useless = Repair("", "", {3: "    return *(int *)8;"})
    useful = Repair("", "", {3: "    return 0;"})
    source = Source.of(path, {})
    assert [passes(each, source, "probe", program_type("KPROBE")) for each in (useless, useful)] == [False, True]
