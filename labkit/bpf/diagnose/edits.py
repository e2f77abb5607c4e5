# SPDX-License-Identifier: Apache-2.0
"""What ended clang, written as another line of C: unsigned division, a loop instead of a large memset."""

from __future__ import annotations

import re

from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.habits import replaced_call

__all__ = ["Edit", "cleared_in_a_loop", "copied_whole", "log2_of_integers", "unsigned", "whole_numbers", "wider_member"]

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
    if found and (timed := _difference_of_times(code, line, found[0][1])):
        return timed
    note = "; if the number can be negative, test that first: it would become a huge one"
    if stores:
        name, operator = stores[0][1], stores[0][2]
        right = f"{name} = (u64){name} {operator} "
        edited = text[: stores[0].start()] + right + text[stores[0].end() :]
    else:
        edited = f"{text[: found[0].start(1)]}(u64){text[found[0].start(1) :]}"
    return f"divide unsigned numbers: {edited.strip().rstrip(chr(59))}{note}", {line: edited}


def _difference_of_times(code: Code, line: int, name: str) -> Edit:
    """Return a u64 in place of the signed variable that holds a time, or the difference of two."""
    for at in range(line, 0, -1):
        text = code.lines[at - 1]
        if re.search(rf"\b(?:int|long|s32|s64)\s+{name}\s*=.*\bbpf_ktime_get_\w*ns\s*\(", text):
            right = re.sub(rf"\b(?:int|long|s32|s64)(\s+{name}\b)", r"u64\1", text, count=1)
            return f"declare {name} as u64 (line {at}): a time, or the difference of two", {at: right}
    return None


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


def copied_whole(code: Code, line: int) -> Edit:
    """Return a copy of the whole array in place of one of as many bytes as a variable says."""
    name = "__builtin_memcpy" if "__builtin_memcpy" in code.line(line) else "memcpy"
    given = code.arguments(line, name)
    to, source = (code.bytes_of(re.split(r"->|\.", each)[-1].strip("& ")) for each in (given[:2] or ["", ""]))
    if len(given) != 3 or not to or not source or to > source or code.constant(given[2]) is not None:
        return None
    right = f"{name}({given[0]}, {given[1]}, sizeof({given[0].lstrip('& ')}))"
    edits = replaced_call(code, line, name, right)
    return (f"copy the whole array, whatever {given[2]} is: {right}", edits) if edits else None


def wider_member(code: Code, line: int, kind: str) -> Edit:
    """Return another type in place of the narrower member of a struct that an atomic operation changes."""
    name = re.search(r"__(?:sync|atomic)_\w+\s*\(\s*&\s*\w+(?:->|\.)(\w+)", code.lines[line - 1])
    declared = code.find(rf"\b(u8|u16|u32|s8|s16|s32|int|short|char)\s+{name[1]}\s*[;,]") if name else None
    if name is None or declared is None:
        return None
    text = code.lines[declared[0] - 1]
    right = re.sub(rf"\b{declared[1][1]}(\s+{name[1]}\b)", rf"{kind}\1", text, count=1)
    return f"declare {name[1]} as {kind} (line {declared[0]})", {declared[0]: right}


def whole_numbers(code: Code, line: int) -> Edit:
    """Return whole numbers in place of constants such as 1e6 and 1000.0, where nothing else is of floating point."""
    text = code.line(line)
    edited = re.sub(r"(?<![\w.])(\d+(?:\.0*)?(?:[eE]\+?\d+)?)[fF]?(?![\w.])", _whole, text)
    if edited == text or re.search(r"\d\.\d|\b(?:float|double)\b", edited):
        return None
    return f"write whole numbers: {edited.strip()}", {line: edited}


def _whole(found: re.Match[str]) -> str:
    return found[0] if found[0].isalnum() and not re.search(r"[eE.]", found[0]) else str(int(float(found[1])))


def log2_of_integers(code: Code, line: int) -> Edit:
    """Return BCC's logarithm in place of the C library's."""
    edited = re.sub(r"(?<!_)\blog2[fl]?(?=\s*\()", "bpf_log2l", code.lines[line - 1])
    return "write bpf_log2l(n): the number of the highest bit, plus 1", {line: edited}
