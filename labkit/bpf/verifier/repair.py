# SPDX-License-Identifier: Apache-2.0
"""Repairs that can be written as an edit of the learner's lines, and the proof that the kernel accepts them.

An edit keeps each line's number. It is offered as verified only after the edited copy was compiled and loaded.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labkit.bpf import bcc
from labkit.bpf.capture import captured
from labkit.bpf.diagnose.code import Code, number
from labkit.bpf.load import KINDS, try_load
from labkit.bpf.rehearse import rehearse
from labkit.bpf.text import Source
from labkit.bpf.verifier.places import without_line_directives
from labkit.errors import LabkitError

__all__ = ["Repair", "passes", "repairs"]

_SIGNED = r"(?:int|s8|s16|s32|s64|short|long|signed|ssize_t)"
_MAY_BE_NULL = r"\b(?:lookup|lookup_or_try_init|lookup_or_init|ringbuf_reserve)\s*\("
_MOST = 2  # repairs that are tried
_PATIENCE_S = 20.0  # with clang, for one of them


@dataclass(frozen=True)
class Repair:
    """One repair.

    Attributes
    ----------
    what : what is wrong, more precisely than the verifier says; empty if its words are as good.
    fix : what to change, in words.
    edits : line -> the new text of that line.
    """

    what: str
    fix: str
    edits: Mapping[int, str]

    def proof(self, code: Code) -> str:
        """Return that the change passes, and the changed lines."""
        return f"Verified: this change passes, the kernel accepts the program.\n{self.diff(code)}"

    def diff(self, code: Code) -> str:
        """Return the changed lines, before and after."""
        return "\n".join(
            f"-{line:>4} | {code.lines[line - 1]}\n+{line:>4} | {text}" for line, text in sorted(self.edits.items())
        )


def repairs(code: Code, kind: str, line: int | None, said: str, helper: str) -> list[Repair]:
    """Return the repairs worth a try, the best first.

    Parameters
    ----------
    kind, line, said : of the verdict.
    helper : the function whose call was refused, empty if none.
    """
    if line is None or not 1 <= line <= len(code.lines):
        return []
    if kind == "null":
        return list(_tests(code, line))[:_MOST]
    if helper.startswith("bpf_probe_read") and re.match(r"R\d type=", said):
        return list(_in_order(code, line, helper))
    if kind in ("bounds", "stack", "arithmetic") or "bitwise operator |=" in said:
        return list(_limits(code, line, said, helper))[:_MOST]
    return []


def passes(repair: Repair, source: Source, function: str = "", kind: int = 0) -> bool:
    """Tell whether the kernel accepts a function after the repair; without one, each whose name says what it is."""
    lines = source.path.read_text(encoding="utf-8").splitlines()
    for line, text in repair.edits.items():
        lines[line - 1] = text
    with tempfile.TemporaryDirectory(prefix="labkit-repair-") as folder:
        path = Path(folder) / source.path.name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        edited = replace(Source.of(path, {}), cflags=source.cflags)
        plain = without_line_directives(edited.text)
        try:
            if rehearse(plain, edited.cflags, timeout_s=_PATIENCE_S) is not None:
                return False
            with captured(), bcc.compiled(plain, edited.cflags) as module:
                if not module:
                    return False
                wanted = [(function, kind)] if function else list(_named(module))
                return bool(wanted) and all(_loads(module, *each) for each in wanted)
        except LabkitError:
            return False


def _named(module: Any) -> Iterator[tuple[str, int]]:
    for function in bcc.functions(module):
        for prefix, kind in KINDS.items():
            if function.startswith(prefix):
                yield function, bcc.program_type(kind)


def _loads(module: Any, function: str, kind: int) -> bool:
    fd, _, _ = try_load(module, function, kind)
    if fd >= 0:
        os.close(fd)
    return fd >= 0


def _tests(code: Code, line: int) -> Iterator[Repair]:
    """Yield a test of each pointer that the line uses, behind the statement that sets it."""
    for name in dict.fromkeys(re.findall(r"[^\W\d]\w*", code.lines[line - 1])):
        for at in range(line, 0, -1):
            text = code.lines[at - 1]
            found = re.search(rf"(?<!\w){name}\s*=[^;=]*?{_MAY_BE_NULL}[^;]*;", text)
            if found is None or text.lstrip().startswith("if"):
                continue
            test = f"if (!{name}) return 0;"
            if at == line and not re.search(rf"(?<!\w){name}(?!\w)", text[found.end() :]):
                break
            yield Repair(
                "",
                f"test {name} behind line {at}: {test}" if at < line else f"test {name} in this line: {test}",
                {at: f"{text[: found.end()]} {test}{text[found.end() :]}"},
            )
            break
    text = code.lines[line - 1]
    called = re.match(r"(\s*)(.*?)\*\s*(\w+)(\([^()]*\))(.*)$", text)
    kind = called and re.search(rf"\b((?:struct )?\w+)\s*\*\s*{called[3]}\s*\(", code.bare)
    if called and kind and called[3] in code.functions:
        kept = f"{kind[1]} *found = {called[3]}{called[4]}; if (!found) return 0;"
        edited = f"{called[1]}{kept} {called[2]}*found{called[5]}"
        yield Repair("", f"keep what {called[3]} gives, and test it: {kept}", {line: edited})


def _limits(code: Code, line: int, said: str, helper: str) -> Iterator[Repair]:
    """Yield what limits the number that leaves its range."""
    text = code.lines[line - 1]
    arguments = code.arguments(line, helper)
    register = re.search(r"\bR(\d+) ", said)
    if helper and arguments and register and int(register[1]) <= len(arguments):
        argument = arguments[int(register[1]) - 1]
        if "negative" in said and argument.isidentifier():
            yield from _unsigned(code, line, argument, helper)
        room, size = _room(code, argument), number(arguments[1]) if helper.startswith("bpf_probe_read") else None
        added = re.search(r"\+\s*(\w+)\s*$", argument)
        if added and room and size and size <= room:
            words = f"the address {argument} may leave its array"
            yield from _bounded(code, line, added[1], room - size, words, f"{size} bytes fit only up to {room - size}")
        return
    for lower in re.finditer(r"(\w+)\s*\[\s*([^\W\d]\w*)\s*-\s*(\d+)\s*\]", text):
        dimension = _dimension(code, lower[1])
        if dimension:
            yield from _lower(code, line, lower[2], int(lower[3]), dimension)
    for index in re.finditer(r"(\w+)\s*\[\s*([^\W\d]\w*)\s*\]", text):
        dimension = _dimension(code, index[1])
        if dimension:
            words = f"the index {index[2]} may leave {index[1]}[{dimension}]"
            yield from _bounded(code, line, index[2], dimension - 1, words, f"{dimension - 1} is the last")


def _in_order(code: Code, line: int, helper: str) -> Iterator[Repair]:
    """Yield a call of bpf_probe_read_*() whose arguments are in the order (to, size, from)."""
    text, given = code.lines[line - 1], code.arguments(line, helper)
    size = next((each for each in given if each.startswith("sizeof") or number(each) is not None), None)
    inside = re.search(r"sizeof\s*\(\s*(\w+)", size or "")
    to = next((each for each in given if inside and each.lstrip("&") == inside[1]), None)
    rest = [each for each in given if each not in (size, to)]
    if len(given) == 3 and size and to and len(rest) == 1:
        call = f"{helper}({to}, {size}, {rest[0]})"
        edited = re.sub(rf"{helper}\s*\(.*\)(?=\s*;)", lambda _: call, text)
        yield Repair(
            f"the arguments of {helper} are in another order: to, size, from", f"write {call};", {line: edited}
        )


def _dimension(code: Code, name: str) -> int | None:
    found = re.search(rf"\b\w+[\s*]+{name}\s*\[\s*([^\]]+)\s*\]\s*(?:;|=|,)", code.bare)
    return number(found[1]) if found else None


def _room(code: Code, argument: str) -> int | None:
    """Return the bytes of the array of letters that an address such as l->text + used begins in."""
    found = re.search(r"(\w+)\s*\+\s*\w+\s*$", argument)
    declared = found and re.search(rf"\b(?:char|u8|s8)\s+{found[1]}\s*\[\s*([^\]]+)\]", code.bare)
    return number(declared[1]) if declared else None


def _guard(code: Code, line: int, name: str) -> tuple[int, re.Match[str]] | None:
    """Return the nearest test of a variable against a constant above a line."""
    declared = code.declared(name, line)
    for at in range(line, declared[0] if declared else 0, -1):
        found = re.search(rf"\bif\b.*?\b({name})\s*(<=?|>=?)\s*(\w+(?:\([^)]*\))?)", code.lines[at - 1])
        if found:
            return at, found
    return None


def _as_u64(code: Code, at: int, kind: str, name: str) -> str:
    return re.sub(rf"\b{re.escape(kind)}(\s+{name}\b)", r"u64\1", code.lines[at - 1], count=1)


def _unsigned(code: Code, line: int, name: str, helper: str) -> Iterator[Repair]:
    declared, guard = code.declared(name, line), _guard(code, line, name)
    if declared is None or not re.fullmatch(_SIGNED, declared[1]):
        return
    at, kind = declared
    tested = f"; the test in line {guard[0]} limits it from above only" if guard else ""
    yield Repair(
        f"the size {name} that {helper} gets may be negative: {name} is signed (line {at}){tested}",
        f"declare it as u64 in line {at}: u64 {name}",
        {at: _as_u64(code, at, kind, name)},
    )


def _bounded(code: Code, line: int, name: str, last: int, words: str, limit: str) -> Iterator[Repair]:
    """Yield a limit for a variable: a test that is too weak is made stronger, a test that lacks is added."""
    guard, declared = _guard(code, line, name), code.declared(name, line)
    signed = declared is not None and re.fullmatch(_SIGNED, declared[1]) is not None
    widened = {declared[0]: _as_u64(code, *declared, name)} if signed and declared else {}
    note = f"; {name} is signed, so it may be negative, too" if signed else ""
    add = f"; declare {name} as u64" if widened else ""
    if guard:
        at, found = guard
        bound, operator = number(found[3]), found[2]
        allowed = None if bound is None else bound - (operator in ("<", ">="))
        if allowed is None or allowed <= last:
            return
        new = last + (operator in ("<", ">="))
        text = code.lines[at - 1]
        edited = f"{text[: found.start(3)]}{new}{text[found.end(3) :]}"
        yield Repair(
            f"{words}: the test in line {at} allows {name} up to {allowed}, {limit}{note}",
            f"in line {at} write {name} {operator} {new}{add}",
            {**widened, at: edited},
        )
        return
    before = next((each.strip() for each in reversed(code.lines[: line - 1]) if each.strip()), "")
    if before.endswith((";", "{", "}")):
        text = code.lines[line - 1]
        indent = text[: len(text) - len(text.lstrip())]
        test = f"if ({name} >= {last + 1}) return 0;"
        if declared and re.search(r"[%&]", code.lines[declared[0] - 1]):
            hidden = f'asm volatile("" : "+r"({name}));'  # clang knows the range, and would drop the test
            yield Repair(
                f"{words}, as far as the verifier can follow what clang made of line {declared[0]}",
                f"test {name} where clang cannot drop the test: {hidden} {test}{add}",
                {**widened, line: f"{indent}{hidden} {test} {text.lstrip()}"},
            )
            return
        yield Repair(
            f"{words}: nothing limits {name}, and {limit}{note}",
            f"test {name} just before its use: {test}{add}",
            {**widened, line: f"{indent}{test} {text.lstrip()}"},
        )


def _lower(code: Code, line: int, name: str, less: int, dimension: int) -> Iterator[Repair]:
    """Yield a test of both ends for an index such as slot - 1."""
    text, declared = code.lines[line - 1], code.declared(name, line)
    before = next((each.strip() for each in reversed(code.lines[: line - 1]) if each.strip()), "")
    guarded = re.match(r"\s*if\b.*\)$", code.lines[line - 3]) if line > 2 else None
    if not before.endswith((";", "{", "}")) or declared is None:
        return
    indent = text[: len(text) - len(text.lstrip())]
    low = f"{name} == 0" if less == 1 else f"{name} < {less}"
    both = f"if ({low} || {name} > {dimension + less - 1}) return 0;"
    what = f"{name} may be less than {less}, and {name} - {less} is then a huge number"
    wider = {declared[0]: _as_u64(code, *declared, name)}
    if guarded and name in guarded[0]:
        kept = f"if ({low}) return 0;"
        yield Repair(
            what,
            f"declare {name} as u64 (line {declared[0]}), and test its lower end just before its use: {kept}",
            {**wider, line: f"{indent}{kept} {text.lstrip()}"},
        )
        yield Repair(
            what,
            f"declare {name} as u64 (line {declared[0]}); instead of lines {line - 2} and {line - 1} write: {both}",
            {**wider, line - 2: "", line - 1: f"{indent}{both}"},
        )
        return
    yield Repair(
        what,
        f"declare {name} as u64 (line {declared[0]}), and test both ends just before its use: {both}",
        {**wider, line: f"{indent}{both} {text.lstrip()}"},
    )
