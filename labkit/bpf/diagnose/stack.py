# SPDX-License-Identifier: Apache-2.0
"""Variables that the stack has no room for, moved into a per-CPU array of one element."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.edits import Edit

__all__ = ["Variable", "in_a_map", "largest"]

_DECLARED = re.compile(
    r"([ \t]+)((?:struct |unsigned )?\w+)[ \t]+([\w\[\], \t]+?)[ \t]*(?:=[ \t]*\{([^{};]*)\}[ \t]*)?;(.*)"
)
_SMALL = 64  # bytes: what has no more stays where it is
_TEXTS = r'"(?:\\.|[^"\\])*"|'
_WORDS = "return", "goto", "else", "typedef"


@dataclass(frozen=True)
class Variable:
    """A variable of a function: the line and the text of its declaration, and its bytes."""

    name: str
    line: int
    declaration: str
    size: int


def _variables(code: Code) -> list[Variable]:
    """Return the variables of functions whose sizes the file shows, the largest first."""
    found = []
    for line, text in enumerate(code.bare.splitlines(), 1):
        match = _DECLARED.match(text)
        for each in match[3].split(",") if match and match[2] not in _WORDS else ():
            parts = re.fullmatch(r"\s*(\w+)((?:\s*\[[^\]]+\])*)\s*", each)
            size = code.size_of(match[2]) if match and parts and _function(code, line) else None
            for count in re.findall(r"\[([^\]]+)\]", parts[2]) if parts else ():
                size = (size or 0) * (code.constant(count) or 0)
            if match and parts and size:
                found.append(Variable(parts[1], line, f"{match[2]} {each.strip()};", size))
    return sorted(found, key=lambda one: -one.size)


def largest(code: Code, line: int) -> Variable | None:
    """Return the largest variable of the function around a line, of all functions where there is none."""
    function = _function(code, line)
    return next((one for one in _variables(code) if function is None or one.line in function), None)


def in_a_map(code: Code, line: int) -> Iterator[Edit]:
    """Yield the move of the largest variable of the function around a line, and that of all that are not small."""
    function = _function(code, line)
    large = [one for one in _variables(code) if function and one.line in function and one.size > _SMALL]
    for moved in (large[:1], large) if len(large) > 1 else (large,):
        if function and moved and (edits := _moved(code, function, moved)):
            yield edits


def _function(code: Code, line: int) -> range | None:
    """Return the lines of the function around a line: from its head to its closing brace, which begin their lines."""
    lines = code.bare.splitlines()
    end = next((at for at in range(line, len(lines) + 1) if lines[at - 1].startswith("}")), None)
    head = next((at for at in range(line - 1, 0, -1) if re.match(r"[^\s{#}]", lines[at - 1])), None)
    whole = "\n".join(lines[head - 1 : end]) if head and end else ""
    is_function = re.match(r"[^;={}]*\([^;{}]*\)\s*\{", whole)
    return range(head, end + 1) if head and end and is_function else None


def _moved(code: Code, function: range, moved: list[Variable]) -> Edit:
    room = "room" if not re.search(r"\brooms?\b", code.bare) else "large_room"
    declared = (
        f"struct {room} {{ {' '.join(one.declaration for one in reversed(moved))} }} __attribute__((aligned(8)));"
    )
    edits = {}
    array = f"BPF_PERCPU_ARRAY({room}s, struct {room}, 1);"
    edits[function[0]] = f"{declared}\n{array}\n{code.lines[function[0] - 1]}"
    first, names = min(one.line for one in moved), [one.name for one in moved]
    if len({len(text) - len(text.lstrip()) for text in (code.lines[one.line - 1] for one in moved)}) > 1:
        return None  # in a block of its own it may be cleared anew in each round of a loop
    for line in range(first, function[-1]):
        text = code.lines[line - 1]
        if any(one.line == line for one in moved):
            match = _DECLARED.match(text)
            if match is None or {part.split("[")[0].strip() for part in match[3].split(",")} - {*names}:
                return None  # one of the others stays: it would have to be declared anew
            set_to = _set(match[4], f"{room}->{match[3].split('[')[0].strip()}") if match[4] is not None else ""
            if set_to is None:
                return None
            taken = ""
            if line == first:
                taken = f"int room_key = 0; struct {room} *{room} = {room}s.lookup(&room_key); "
                taken += f"if (!{room}) return {code.leaving(line)}; "
                if any((found := _DECLARED.match(code.lines[one.line - 1])) and found[4] is not None for one in moved):
                    taken += f"for (int i = 0; i < sizeof(*{room}) / 8; i++) ((volatile u64 *){room})[i] = 0; "
            edits[line] = f"{match[1]}{taken}{set_to}{_renamed(match[5].strip(), names, room)}".rstrip()
        elif (edited := _renamed(text, names, room)) != text:
            edits[line] = edited
    what = "these variables" if len(moved) > 1 else moved[0].name
    return f"keep {what} in a map of one element: {array.rstrip(';')}, and take it with {room}s.lookup()", edits


def _set(values: str, name: str) -> str | None:
    """Return the values in braces as assignments; None where they do not name their members."""
    made = ""
    for each in filter(None, (part.strip() for part in values.split(","))):
        member = re.fullmatch(r"\.(\w+)\s*=\s*(.+)", each)
        if member is None and each != "0":
            return None
        made += f"{name}.{member[1]} = {member[2]}; " if member else ""
    return made


def _renamed(text: str, names: list[str], room: str) -> str:
    pattern = rf"{_TEXTS}(?<!\.)(?<!->)\b(?:{'|'.join(names)})\b"
    return re.sub(pattern, lambda found: found[0] if found[0][0] == '"' else f"{room}->{found[0]}", text)
