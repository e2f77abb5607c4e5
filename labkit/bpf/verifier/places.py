# SPDX-License-Identifier: Apache-2.0
"""From what clang compiled back to what the learner wrote: the place in the C of each instruction.

BCC rewrites a program before clang compiles it: it inserts lines, and joins some. The line table that clang makes is of
the rewritten text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

__all__ = [
    "Place",
    "Row",
    "debug_output",
    "place_in_rewritten",
    "places_of",
    "rows_of_disassembly",
    "without_line_directives",
]


@dataclass(frozen=True)
class Row:
    """One row of a line table: `first` is the instruction from which on it holds."""

    first: int
    header: str  # empty for the main file
    line: int
    column: int


@dataclass(frozen=True)
class Place:
    """A place in a C file; lines and columns count from 1, column 0 is unknown."""

    file: str
    line: int
    column: int


def places_of(rows: Sequence[Row], rewritten: str, text: str) -> dict[int, Place]:
    """Return the place of each instruction, from a line table of the C that BCC rewrote.

    Parameters
    ----------
    rows : in the order of the instructions.
    rewritten : the C after BCC changed it.
    text : the C that was given to BCC; `#line` directives in it say from which file each part came.
    """
    new, old = rewritten.splitlines(), without_line_directives(text).splitlines()
    line_of, origin_of = _pair_lines(new, old), _origins(text)
    found: dict[int, Place] = {}
    for row, following in zip_longest(rows, rows[1:]):
        if row.header:
            place = Place(row.header, row.line, row.column)
        elif (before := line_of.get(row.line)) is None:
            continue  # a line that BCC inserted
        else:
            file, line = origin_of[before - 1]
            place = Place(file, line, _pair_column(new[row.line - 1], old[before - 1], row.column))
        end = following.first if following else row.first + 1
        found.update(dict.fromkeys(range(row.first, end), place))
    return found


def place_in_rewritten(text: str, said: str, line: int, function: str) -> Place | None:
    """Return where a line of the C that BCC rewrote, or if it is 0 a function, is in what was written.

    Parameters
    ----------
    text : the C that was given to BCC.
    said : what BCC printed under DEBUG_PREPROCESSOR.
    """
    _, rewritten, _ = debug_output(said)
    lines = rewritten.splitlines()
    if line == 0:
        section = f'section(".bpf.fn.{function}")'
        line = next((number + 1 for number, each in enumerate(lines, start=1) if section in each), 0)
    return places_of([Row(0, "", line, 0)], rewritten, text).get(0)


def without_line_directives(text: str) -> str:
    """Return a C text as one file, so that BCC and the kernel show its own lines.

    With #line, clang reads the text of a line from the file named, at a number that BCC's insertions have shifted.
    """
    return _LINE.sub("//", text)


_LINE = re.compile(r'^#line (\d+) "([^"\n]*)"', re.MULTILINE)


def debug_output(said: str) -> tuple[str, str, str]:
    """Split what BCC prints under DEBUG_PREPROCESSOR | DEBUG_SOURCE.

    Returns clang's diagnostics, the C after BCC changed it, and the disassembly.
    """
    before, start, rest = said.partition("#if defined(BPF_LICENSE)")
    rewritten, end, after = rest.partition("#include <bcc/footer.h>\n")
    disassembled = after.find("Disassembly of function")
    after, disassembly = (after, "") if disassembled < 0 else (after[:disassembled], after[disassembled:])
    diagnostics = "\n".join(line for line in (before + after).splitlines() if not line.startswith("clang -cc1"))
    return diagnostics.strip(), start + rewritten + end, disassembly


def rows_of_disassembly(disassembly: str, function: str) -> list[Row]:
    """Read BCC's annotated disassembly, for programs whose BTF the kernel refuses: lines without columns."""
    rows: list[Row] = []
    line, here = 0, False
    for text in disassembly.splitlines():
        if text.startswith("Disassembly of function "):
            here = text.split()[-1] == function
        elif here and (found := re.search(r"// Line\s+(\d+)$", text)):
            line = int(found[1])
        elif here and line and (found := re.match(r"\s*(\d+):\t", text)):
            rows.append(Row(int(found[1]), "", line, 0))
    return rows


def _origins(text: str) -> list[tuple[str, int]]:
    """Return the file and the line of each line of a C text, as its #line directives say."""
    origins, file, number = [], "", 0
    for line in text.splitlines():
        number += 1
        origins.append((file, number))
        if found := _LINE.match(line):
            file, number = found[2], int(found[1]) - 1
    return origins


def _pair_lines(new: Sequence[str], old: Sequence[str]) -> dict[int, int]:
    """Return, for the lines that BCC kept or rewrote, their numbers before."""
    pairs: dict[int, int] = {}
    matcher = difflib.SequenceMatcher(None, [line.strip() for line in new], [line.strip() for line in old], False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal" or (tag == "replace" and i2 - i1 == j2 - j1):
            pairs.update((i1 + k + 1, j1 + k + 1) for k in range(i2 - i1))
        elif tag == "replace":
            for i, j in _likest(new[i1:i2], old[j1:j2]):
                pairs[i1 + i + 1] = j1 + j + 1
    return pairs


def _likest(new: Sequence[str], old: Sequence[str]) -> list[tuple[int, int]]:
    """Pair lines in order so that the paired ones have the most words in common."""
    best: dict[tuple[int, int], tuple[float, list[tuple[int, int]]]] = {}
    for i in range(len(new), -1, -1):
        for j in range(len(old), -1, -1):
            if i == len(new) or j == len(old):
                best[i, j] = (0.0, [])
                continue
            score, rest = best[i + 1, j + 1]
            pair = (score + _likeness(new[i], old[j]), [(i, j), *rest])
            best[i, j] = max(pair, best[i + 1, j], best[i, j + 1], key=lambda found: found[0])
    return best[0, 0][1]


_TOKEN = re.compile(r"\w+|\s+|.")


def _likeness(one: str, other: str) -> float:
    words, others = set(re.findall(r"\w+", one)), set(re.findall(r"\w+", other))
    return 2 * len(words & others) / max(len(words) + len(others), 1)


def _pair_column(new: str, old: str, column: int) -> int:
    """Return where the token at `column` of a rewritten line stood before."""
    if new == old or column == 0:
        return column
    tokens, before = _TOKEN.findall(new), _TOKEN.findall(old)
    starts = [sum(map(len, before[:j])) for j in range(len(before) + 1)]
    index, end = 0, 0
    while index < len(tokens) - 1 and (end := end + len(tokens[index])) < column:
        index += 1
    for tag, i1, i2, j1, _ in difflib.SequenceMatcher(None, tokens, before, False).get_opcodes():
        if i1 <= index < i2:
            return starts[j1 + (index - i1 if tag == "equal" else 0)] + 1
    return 0
