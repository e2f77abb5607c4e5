# SPDX-License-Identifier: Apache-2.0
"""The lab's docstrings as fields of reStructuredText: `name : what it is` under Parameters, Raises, Attributes."""

from __future__ import annotations

import re

FIELDS = {"Parameters": "param", "Raises": "raises", "Attributes": "var"}
UNDERLINE = re.compile(r"-{4,}\s*")
ENTRY = re.compile(r"(?P<names>[*\w][\w*, .]*?) : (?P<text>.*)")
MARKS = re.compile(r"(`+).*?\1|(?<!\\)([*|]|_(?=\W|$))")


def escaped(line: str) -> str:
    """Return a line in which a star, a bar or a last underscore outside backticks means itself."""
    return MARKS.sub(lambda found: found[0] if found[1] else "\\" + found[0], line)


def as_fields(app: object, what: str, name: str, found: object, options: object, lines: list[str]) -> None:
    """Rewrite the lines of one docstring in place (autodoc-process-docstring)."""
    written: list[str] = []
    section = ""
    rest = iter(range(len(lines)))
    for index in rest:
        line = lines[index]
        if index + 1 < len(lines) and UNDERLINE.fullmatch(lines[index + 1]) and line.strip():
            section = line.strip()
            next(rest)
            written += ["", *([] if section in FIELDS else [f"**{section}**", ""])]
        elif section in FIELDS and (entry := ENTRY.fullmatch(line)):
            for each in entry["names"].split(", "):
                written.append(f":{FIELDS[section]} {escaped(each)}: {escaped(entry['text'])}")
        elif section in FIELDS and line.strip() and line.startswith(" "):
            written.append(escaped(line))
        elif line.startswith("    ") and index and not lines[index - 1].strip():
            written += ["::", "", line]  # a piece of code
        else:
            if line.strip() and not line.startswith(" ") and section in FIELDS:
                section = ""  # a paragraph after the fields
                written.append("")
            written.append(line if line.startswith("    ") or ">>>" in line else escaped(line))
    lines[:] = [*written, ""]
