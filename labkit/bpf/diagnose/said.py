# SPDX-License-Identifier: Apache-2.0
"""What clang said about the learner's own lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from labkit.bpf.diagnose.code import Code
from labkit.bpf.structures import as_written

__all__ = ["Answer", "Match", "Said", "edit", "in_file"]

Match = re.Match[str]
Answer = tuple[str, str] | tuple[str, str, dict[int, str]] | None  # the third is the fix as an edit: line -> its text

_DIAGNOSTIC = re.compile(r"^(.+?):(\d{1,9}):(\d{1,9}): (?:fatal )?(error|warning|note): (.*)$")
_GUTTER = re.compile(r"^ *\d+ \| ")  # clang 16 and later number the line that they quote
_SHIFTED = 3  # lines by which BCC's second pass may be off


@dataclass(frozen=True)
class Said:
    """One diagnostic; lines and columns (letters, not bytes) count from 1, column 0 is unknown."""

    kind: str  # error, warning
    line: int
    column: int
    words: str


def edit(code: Code, said: Said, old: str, new: str) -> dict[int, str]:
    """Return the edit that puts `new` in place of `old` in the line named, at its column if that is known."""
    line = code.line(said.line)
    start = line.find(old, max(said.column - 1, 0))
    start = line.find(old) if start < 0 else start
    return {} if start < 0 or not new else {said.line: line[:start] + new + line[start + len(old) :]}


def in_file(said: str, path: str, code: Code) -> list[Said]:
    """Return the diagnostics for one file.

    BCC compiles twice. What the second pass says is of rewritten text, and may be a line or two off: where the line
    that clang quotes is not the learner's, the likest line around it is meant.
    """
    lines, found = as_written(said, code.text).splitlines(), []
    for index, line in enumerate(lines):
        parts = _DIAGNOSTIC.match(line)
        if parts is None or parts[1] != path or parts[4] == "note":
            continue
        number, column = int(parts[2]), int(parts[3])
        quoted = _GUTTER.sub("", lines[index + 1]) if index + 1 < len(lines) else ""
        here = code.lines[number - 1] if 1 <= number <= len(code.lines) else ""
        if quoted.strip() and quoted != here:
            number, column = _likest(quoted, number, code.lines), 0
        elif column:
            column = len(here.encode()[: column - 1].decode(errors="ignore")) + 1
        found.append(Said(parts[4], number, column, parts[5]))
    return found


def _likest(quoted: str, number: int, lines: Sequence[str]) -> int:
    """Return the line that begins and ends most like what clang quotes: BCC rewrites the middle."""

    def likeness(line: int) -> int:
        return _same(quoted, lines[line - 1]) + _same(quoted[::-1], lines[line - 1][::-1])

    around = [each for each in range(number - _SHIFTED, number + _SHIFTED + 1) if 1 <= each <= len(lines)]
    return max(around, key=likeness, default=number)


def _same(one: str, other: str) -> int:
    """Return with how many equal letters two texts begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
