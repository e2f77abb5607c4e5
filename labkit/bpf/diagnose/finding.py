# SPDX-License-Identifier: Apache-2.0
"""One mistake that was found: its place, what it is, and how to fix it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Finding", "excerpt"]

_AROUND, _TAB = 2, 4  # lines shown before and after; the width of a tab


@dataclass(frozen=True)
class Finding:
    """A mistake in the learner's file; lines and columns count from 1, 0 is unknown."""

    line: int
    column: int
    what: str
    fix: str
    words: str = ""  # clang's own
    edits: Mapping[int, str] = field(default_factory=dict)  # the fix: line -> its new text

    def headline(self, name: str) -> str:
        """Return where, and what is wrong, in one line."""
        return f"{name}:{self.line}: {self.what}." if self.line else f"{name}: {self.what}."

    def detail(self, text: str, name: str) -> str:
        """Return the line with the lines around it, and clang's own words."""
        parts = [excerpt(text, self.line, self.column, name)] if self.line else []
        return "\n".join(parts + ([f"clang's words: {self.words}"] if self.words else []))


def excerpt(text: str, line: int, column: int, name: str) -> str:
    """Return a line with the lines around it, and a mark below the column (below the first letter if it is 0)."""
    raw = text.splitlines()
    if not 1 <= line <= len(raw):
        return ""
    lines, this = [each.expandtabs(_TAB) for each in raw], raw[line - 1]
    before = this[: column - 1] if column else this[: len(this) - len(this.lstrip())]
    shown = [f"{name}, line {line}" + (f", column {column}" if column else "")]
    for number in range(max(line - _AROUND, 1), min(line + _AROUND, len(lines)) + 1):
        shown.append(f"{number:>5} | {lines[number - 1]}".rstrip())
        if number == line:
            shown.append(f"{'':>5} | {' ' * len(before.expandtabs(_TAB))}^")
    return "\n".join(shown) + "\n"
