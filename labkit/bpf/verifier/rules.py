# SPDX-License-Identifier: Apache-2.0
"""The table of what the verifier may say: `rules/*.txt`, which is made to be read and reviewed.

One rule is a family of rejections: the kernel's words, what they mean, what the verifier needed, the usual fix, and the
kernels on which a rejected program of the tests got these words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BY_NAME", "RULES", "Rule"]

STACK_BYTES = 512  # MAX_BPF_STACK
_TABLE = Path(__file__).with_name("rules")
_FIELD = re.compile(r"  (says|only|means|needs|fix)\s+(.*)")

# conditions on a match, by the words of the column "only"
_ONLY: dict[str, Callable[[re.Match[str]], bool]] = {
    "": lambda found: True,
    # since 6.8 the same words as for an access that leaves the stack
    "inside the stack": lambda found: int(found["off"]) >= -STACK_BYTES and int(found["off"]) + int(found["size"]) <= 0,
}


@dataclass(frozen=True)
class Rule:
    """One family of rejections.

    Parameters
    ----------
    kind : the family: "null", "bounds", "stack", …
    kernels : where these words were seen; empty if they were only read in the kernel's source.
    patterns : regular expressions, each matched from the start of a line that the verifier said.
    means, needs, fix : texts; what is in braces is filled in by `explain`.
    only : a condition on the match, by name.
    name : for rules that are taken by name.
    """

    kind: str
    kernels: tuple[str, ...]
    patterns: tuple[str, ...]
    means: str
    needs: str
    fix: str
    only: str = ""
    name: str = ""

    def match(self, said: str) -> re.Match[str] | None:
        """Return the match of a line that the verifier said, if it is of this family."""
        matches = (re.match(pattern, said) for pattern in self.patterns)
        return next((found for found in matches if found and _ONLY[self.only](found)), None)


def _read(path: Path) -> Iterator[Rule]:
    """Yield the rules of a file, in its order."""
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if not lines:
            continue
        name = lines.pop(0).strip("[]") if lines[0].startswith("[") else ""
        kind, *kernels = lines.pop(0).split()
        fields = [(found[1], found[2]) for line in lines if (found := _FIELD.fullmatch(line))]
        if len(fields) != len(lines):
            raise ValueError(f"{path.name}: a line of the rule {kind!r} is none of the table's: {lines}")
        texts = dict(fields)
        yield Rule(
            kind=kind,
            kernels=tuple(kernel for kernel in kernels if kernel != "read"),
            patterns=tuple(text for field, text in fields if field == "says"),
            means=texts["means"],
            needs=texts["needs"],
            fix=texts["fix"],
            only=texts.get("only", ""),
            name=name,
        )


_ALL = tuple(rule for path in sorted(_TABLE.glob("*.txt")) for rule in _read(path))
RULES = tuple(rule for rule in _ALL if rule.patterns)
BY_NAME = {rule.name: rule for rule in _ALL if rule.name}
