# SPDX-License-Identifier: Apache-2.0
"""A repair that can be written as an edit of the learner's lines, and the proof that the kernel accepts it.

An edit keeps each line's number. It is offered as verified only after the edited copy was compiled and loaded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from labkit.bpf import bcc
from labkit.bpf.diagnose.code import Code
from labkit.bpf.load import KINDS
from labkit.bpf.rehearse import is_accepted
from labkit.bpf.text import Source
from labkit.bpf.verifier.places import without_line_directives
from labkit.errors import LabkitError

__all__ = ["Repair", "passes"]

_PATIENCE_S = 20.0  # with clang, for one of them


@dataclass(frozen=True)
class Repair:
    """One repair.

    Attributes
    ----------
    what : what is wrong, more precisely than the verifier says; empty if its words are as good.
    fix : what to change, in words.
    edits : line -> the new text of that line.
    weak : (line, first column, the column behind the last) of a test that is too weak, columns from 0.
    """

    what: str
    fix: str
    edits: Mapping[int, str]
    weak: tuple[int, int, int] | None = None

    def underlined(self, code: Code) -> list[str]:
        """Return the line of the test that is too weak, and a line that marks the test."""
        if self.weak is None:
            return []
        line, start, end = self.weak
        text = code.lines[line - 1]
        shown = text.lstrip()
        return [
            f"line {line}: {shown}",
            " " * (len(f"line {line}: ") + start - len(text) + len(shown)) + "~" * (end - start),
        ]

    def proof(self, code: Code) -> str:
        """Return that the change passes, and the changed lines."""
        return f"Verified: this change passes, the kernel accepts the program.\n{self.diff(code)}"

    def diff(self, code: Code) -> str:
        """Return the changed lines, before and after."""
        return "\n".join(
            f"-{line:>4} | {code.lines[line - 1]}\n+{line:>4} | {text}" for line, text in sorted(self.edits.items())
        )


def passes(repair: Repair, source: Source, function: str = "", kind: int = 0) -> bool:
    """Tell whether the kernel accepts a function after the repair.

    Without one: each function whose name says what it is, and with a `kind`, the others as of this kind.
    """
    lines = source.path.read_text(encoding="utf-8").splitlines()
    for line, text in repair.edits.items():
        lines[line - 1] = text
    with tempfile.TemporaryDirectory(prefix="labkit-repair-") as folder:
        path = Path(folder) / source.path.name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        edited = replace(Source.of(path, {}), cflags=source.cflags)
        plain = without_line_directives(edited.text)
        if not function:
            kinds = {prefix: bcc.program_type(name) for prefix, name in KINDS.items()} | ({"": kind} if kind else {})
        else:
            kinds = {function: kind}
        try:
            return is_accepted(plain, edited.cflags, kinds, timeout_s=_PATIENCE_S)
        except LabkitError:
            return False
