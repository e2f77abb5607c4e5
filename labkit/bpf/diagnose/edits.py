# SPDX-License-Identifier: Apache-2.0
"""What ended clang, written as another line of C: unsigned division, a loop instead of a large memset."""

from __future__ import annotations

import re

from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.habits import replaced_call

__all__ = ["Edit", "cleared_in_a_loop", "log2_of_integers", "unsigned"]

Edit = tuple[str, dict[int, str]] | None  # the fix in words, and line -> its new text

_OPERAND = r"[A-Za-z_][\w.]*(?:(?:->|\.)\w+)*(?:\[[^\]]*\])?"


def unsigned(code: Code, line: int) -> Edit:
    """Return a division of unsigned numbers in place of a signed one, if the line has one."""
    text = code.lines[line - 1]
    bare = re.sub(r'"(?:\\.|[^"\\])*"|//.*|/\*.*?\*/', lambda found: " " * len(found[0]), text)
    stores = list(re.finditer(rf"({_OPERAND})\s*([/%])=\s*", bare))
    found = list(re.finditer(rf"(?<![\w.>)\]])({_OPERAND}|\d+)\s*([/%])(?![=/*])", bare))
    if len(stores) + len(found) != 1:
        return None
    note = "; if the number can be negative, test that first: it would become a huge one"
    if stores:
        name, operator = stores[0][1], stores[0][2]
        right = f"{name} = (u64){name} {operator} "
        edited = text[: stores[0].start()] + right + text[stores[0].end() :]
    else:
        edited = f"{text[: found[0].start(1)]}(u64){text[found[0].start(1) :]}"
    return f"divide unsigned numbers: {edited.strip().rstrip(chr(59))}{note}", {line: edited}


def cleared_in_a_loop(code: Code, line: int) -> Edit:
    """Return a loop of 8-byte words in place of a memset of zeros whose size is a multiple of 8."""
    text = code.lines[line - 1]
    name = "__builtin_memset" if "__builtin_memset" in text else "memset"
    given = code.arguments(line, name)
    size = code.constant(given[2]) if len(given) == 3 and given[1] == "0" else None
    if size is None and given and (pointed := re.fullmatch(r"sizeof\s*\(?\s*\*\s*(\w+)\s*\)?", given[2])):
        kind = re.search(rf"\b(struct\s+\w+|\w+)\s*\*\s*{pointed[1]}\b", code.bare)
        size = code.size_of(kind[1]) if kind else None
    if size is None or size % 8:
        return None
    loop = f"for (int word = 0; word < {size // 8}; word++) ((volatile u64 *)({given[0]}))[word] = 0"
    edits = replaced_call(code, line, name, loop)
    return (f"clear it in a loop of 8-byte words: {loop};", edits) if edits else None


def log2_of_integers(code: Code, line: int) -> Edit:
    """Return BCC's logarithm in place of the C library's."""
    edited = re.sub(r"(?<!_)\blog2[fl]?(?=\s*\()", "bpf_log2l", code.lines[line - 1])
    return "write bpf_log2l(n): the number of the highest bit, plus 1", {line: edited}
