# SPDX-License-Identifier: Apache-2.0
"""Limits for a number that leaves its range: a weak test is made stronger, one that lacks is added."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from labkit.bpf.diagnose.code import Code, number, put_before
from labkit.bpf.verifier.repair import Repair

__all__ = ["limits"]

_SIGNED = r"(?:int|s8|s16|s32|s64|short|long|signed|ssize_t)"


def limits(code: Code, line: int, said: str, helper: str) -> Iterator[Repair]:
    """Yield what limits the number that leaves its range."""
    text = code.lines[line - 1]
    yield from _sent(code, line, said)
    arguments = code.arguments(line, helper)
    register = re.search(r"\bR(\d+) ", said)
    if helper and arguments and register and int(register[1]) <= len(arguments):
        argument = arguments[int(register[1]) - 1]
        if "negative" in said or "unbounded memory access" in said:
            yield from _size(code, line, argument, helper, arguments)
        room, size = _room(code, argument), number(arguments[1]) if helper.startswith("bpf_probe_read") else None
        added = re.search(r"\+\s*(\w+)\s*$", argument)
        if added and room and size and size <= room:
            words = f"the address {argument} may leave its array"
            yield from _bounded(code, line, added[1], room - size, words, f"{size} bytes fit only up to {room - size}")
        return
    for index in _indices(code, text):
        if lower := re.fullmatch(r"([^\W\d]\w*)\s*-\s*(\d+)", index.written):
            yield from _lower(code, line, lower[1], int(lower[2]), index.dimension)
    for index in _indices(code, text):
        if index.written.isidentifier():
            words = f"the index {index.written} may leave {index.array}"
            last = index.dimension - 1
            yield from _bounded(code, line, index.written, last, words, f"{last} is the last")
    yield from _tested_copies(code, line)


@dataclass(frozen=True)
class _Index:
    """An index in a line, its place there, and the elements that the array has in this dimension."""

    array: str
    written: str
    start: int
    end: int
    dimension: int


def _indices(code: Code, text: str) -> Iterator[_Index]:
    for found in re.finditer(r"(\w+)((?:\s*\[[^\[\]]+\])+)", text):
        declared = re.search(rf"\b\w+[\s*]+{found[1]}((?:\s*\[[^\]]+\])+)\s*(?:;|=|,)", code.bare)
        dimensions = [code.constant(each) for each in re.findall(r"\[([^\]]+)\]", declared[1])] if declared else []
        for each, dimension in zip(re.finditer(r"\[([^\[\]]+)\]", found[2]), dimensions, strict=False):
            if dimension:
                start = found.start(2) + each.start(1)
                whole = f"{found[1]}[{dimension}]" if len(dimensions) == 1 else found[1]
                yield _Index(whole, each[1].strip(), start, start + len(each[1]), dimension)


def _tested_copies(code: Code, line: int) -> Iterator[Repair]:
    """Yield a test of copies of the indices that a line uses."""
    text = code.line(line)
    used = [each for each in _indices(code, text) if code.constant(each.written) is None]
    if not used or re.match(r"\s*(?:else|for|while)\b", text):
        return
    at = line - 1 if re.match(r"\s*if\b.*\)\s*$", code.line(line - 1)) else line  # the body of an if is one statement
    names = ["at", *(f"at{number}" for number in range(2, len(used) + 1))]
    edited = text
    for each, name in reversed([*zip(used, names, strict=True)]):
        edited = f"{edited[: each.start]}{name}{edited[each.end :]}"
    copies = " ".join(f"u64 {name} = {each.written};" for each, name in zip(used, names, strict=True))
    outside = " || ".join(f"{name} >= {each.dimension}" for each, name in zip(used, names, strict=True))
    hidden = " ".join(f'asm volatile("" : "+r"({name}));' for name in names)
    is_known = any(re.search(r"[&%]", each.written) for each in used)
    words = f"the index {' or '.join(each.written for each in used)} may leave {used[0].array}"
    if is_known:
        words = f"the index of {used[0].array} may leave it, as far as the verifier can follow what clang made"
    elif len(used) == 1:
        is_tested = _guard_of_part(code, line, used[0].written)
        words += ": only a part of it is tested" if is_tested else ": nothing limits it"
    for barrier in (hidden,) if is_known else ("", hidden):
        test = " ".join(filter(None, (copies, barrier, f"if ({outside}) return 0;")))
        edits = {line: edited}
        edits[at] = put_before(edits.get(at, code.line(at)), test)
        where = "test it where clang cannot drop the test" if barrier else "test a copy of it before its use"
        yield Repair(words, f"{where}: {test}", edits)


def _guard_of_part(code: Code, line: int, computed: str) -> bool:
    return any(_guard(code, line, name) for name in re.findall(r"(?<![\w.>])[A-Za-z_]\w*(?!\w|->|\.|\()", computed))


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
        if found and not (found[2].startswith("<") and found[3] in ("0", "1")):  # that tests the lower end
            return at, found
    return None


def _tests_lower_end(code: Code, line: int, name: str) -> bool:
    declared = code.declared(name, line)
    above = "\n".join(code.lines[declared[0] if declared else 0 : line - 1])
    return re.search(rf"\bif\b.*?\b{name}\s*<=?\s*[01]\b", above) is not None


def _marked(guard: tuple[int, re.Match[str]]) -> tuple[int, int, int]:
    line, found = guard
    return line, found.start(1), found.end(3)


def _as_u64(code: Code, at: int, kind: str, name: str) -> str:
    return re.sub(rf"\b{re.escape(kind)}(\s+{name}\b)", r"u64\1", code.lines[at - 1], count=1)


def _size(code: Code, line: int, name: str, helper: str, arguments: list[str]) -> Iterator[Repair]:
    """Yield what limits the size that a helper gets."""
    declared, guard = code.declared(name, line), _guard(code, line, name)
    if declared and declared[1] != "u64" and guard:
        at, kind = declared
        why = f"{name} is signed (line {at}); the test in line {guard[0]} limits it from above only"
        if not re.fullmatch(_SIGNED, kind):
            why = f"the test in line {guard[0]} is made with 32 bits of {name} ({kind}, line {at}), and 64 are passed"
        what = f"the size {name} that {helper} gets may be negative, as far as the verifier can see: {why}"
        edits = {at: _as_u64(code, at, kind, name)}
        yield Repair(what, f"declare it as u64 in line {at}: u64 {name}", edits, _marked(guard))
        return
    to = re.fullmatch(r"&?\s*(?:\w+(?:\.|->))*(\w+)", arguments[0]) if len(arguments) > 1 else None
    room = code.bytes_of(to[1]) if to else None
    text = code.lines[line - 1]
    if room is None or guard or name not in text:
        return
    short = "length" if name != "length" else "bytes"
    test = f"u64 {short} = {name}; if ({short} > {room}) {short} = {room};"
    call = re.search(rf"\b{helper}\s*\(", text)
    at_name = text.find(name, text.find(",", call.end())) if call else -1
    if at_name < 0:
        return
    edited = put_before(f"{text[:at_name]}{short}{text[at_name + len(name) :]}", test)
    what = f"nothing limits the size {name} that {helper} gets, and {to[1] if to else 'the buffer'} has {room} bytes"
    yield Repair(what, f"limit it before the call: {test} and pass {short}", {line: edited})


def _sent(code: Code, line: int, said: str) -> Iterator[Repair]:
    """Yield a limit for the size of a record that is sent in part."""
    text = code.lines[line - 1]
    call = re.search(r"\b\w+\.(ringbuf_output|perf_submit)\s*\(", text)
    given = code.arguments(line, call[1]) if call else []
    at = 1 if call and call[1] == "ringbuf_output" else 2
    if len(given) != 3 or text.count(given[at]) != 1 or not re.match(r"R\d+ (?:unbounded|min value|invalid)", said):
        return
    record = given[at - 1].lstrip("& ")
    size = f"sizeof({record})"
    test = f"u64 bytes = {given[at]}; if (bytes > {size}) bytes = {size};"
    what = f"the size {given[at]} may be larger than {record}, as far as the verifier can see"
    edited = put_before(text.replace(given[at], "bytes"), test)
    yield Repair(what, f"limit it before the call: {test} and pass bytes", {line: edited})


def _bounded(code: Code, line: int, name: str, last: int, words: str, limit: str) -> Iterator[Repair]:
    """Yield a limit for a variable: a test that is too weak is made stronger, a test that lacks is added."""
    guard, declared = _guard(code, line, name), code.declared(name, line)
    signed = declared is not None and re.fullmatch(_SIGNED, declared[1]) is not None
    widened = {declared[0]: _as_u64(code, *declared, name)} if signed and declared else {}
    note = f"; {name} is signed, so it may be negative, too" if signed else ""
    add = f"; declare {name} as u64" if widened else ""
    if guard:
        at, found = guard
        bound, operator = code.constant(found[3]), found[2]
        allowed = None if bound is None else bound - (operator in ("<", ">="))
        if allowed is not None and allowed <= last:
            yield from _widened(code, line, name, words, guard)
        if allowed is None or allowed <= last:
            return
        new = last + (operator in ("<", ">="))
        text = code.lines[at - 1]
        edited = f"{text[: found.start(3)]}{new}{text[found.end(3) :]}"
        yield Repair(
            f"{words}: the test in line {at} allows {name} up to {allowed}, {limit}{note}",
            f"in line {at} write {name} {operator} {new}{add}",
            {**widened, at: edited},
            _marked(guard),
        )
        if declared and declared[1] != "u64" and not widened:
            yield Repair(
                f"{words}: the test in line {at} allows {name} up to {allowed}, {limit}",
                f"in line {at} write {name} {operator} {new}; declare {name} as u64 (line {declared[0]})",
                {declared[0]: _as_u64(code, *declared, name), at: edited},
                _marked(guard),
            )
        return
    before = next((each.strip() for each in reversed(code.lines[: line - 1]) if each.strip()), "")
    if before.endswith((";", "{", "}")):
        text = code.lines[line - 1]
        test = f"if ({name} >= {last + 1}) return 0;"
        if declared and re.search(r"[%&]", code.lines[declared[0] - 1]):
            hidden = f'asm volatile("" : "+r"({name}));'  # clang knows the range, and would drop the test
            yield Repair(
                f"{words}, as far as the verifier can follow what clang made of line {declared[0]}",
                f"test {name} where clang cannot drop the test: {hidden} {test}{add}",
                {**widened, line: put_before(text, f"{hidden} {test}")},
            )
            return
        if signed and _tests_lower_end(code, line, name):
            what = f"{words}: nothing limits {name} from above, and {limit}"
            yield Repair(what, f"test {name} just before its use: {test}", {line: put_before(text, test)})
        yield Repair(
            f"{words}: nothing limits {name}, and {limit}{note}",
            f"test {name} just before its use: {test.rstrip(';') if add else test}{add}",
            {**widened, line: put_before(text, test)},
        )


def _widened(code: Code, line: int, name: str, words: str, guard: tuple[int, re.Match[str]]) -> Iterator[Repair]:
    """Yield a variable of 64 bits where the test is right, and the verifier does not see that it is."""
    declared = code.declared(name, line)
    if declared is None or declared[1] == "u64":
        return
    signed = re.fullmatch(_SIGNED, declared[1])
    why = f"{name} is signed (line {declared[0]}), and the test in line {guard[0]} limits it from above only"
    if not signed:
        why = f"the test in line {guard[0]} is made with 32 bits of {name} ({declared[1]}), and 64 are used"
    fix = f"declare {name} as u64 (line {declared[0]})"
    yield Repair(f"{words}: {why}", fix, {declared[0]: _as_u64(code, *declared, name)}, _marked(guard))


def _lower(code: Code, line: int, name: str, less: int, dimension: int) -> Iterator[Repair]:
    """Yield a test of both ends for an index such as slot - 1."""
    text, declared = code.lines[line - 1], code.declared(name, line)
    before = next((each.strip() for each in reversed(code.lines[: line - 1]) if each.strip()), "")
    guarded = re.match(r"\s*if\b.*\)$", code.lines[line - 3]) if line > 2 else None
    if not before.endswith((";", "{", "}")) or declared is None:
        return
    low = f"{name} == 0" if less == 1 else f"{name} < {less}"
    both = f"if ({low} || {name} > {dimension + less - 1}) return 0;"
    what = f"{name} may be less than {less}, and {name} - {less} is then a huge number"
    wider = {declared[0]: _as_u64(code, *declared, name)}
    if guarded and name in guarded[0]:
        kept = f"if ({low}) return 0;"
        yield Repair(
            what,
            f"declare {name} as u64 (line {declared[0]}), and test its lower end just before its use: {kept}",
            {**wider, line: put_before(text, kept)},
        )
        yield Repair(
            what,
            f"declare {name} as u64 (line {declared[0]}); instead of lines {line - 2} and {line - 1} write: {both}",
            {**wider, line - 2: "", line - 1: text[: len(text) - len(text.lstrip())] + both},
        )
        return
    yield Repair(
        what,
        f"declare {name} as u64 (line {declared[0]}), and test both ends just before its use: {both}",
        {**wider, line: put_before(text, both)},
    )
    hidden = f'u64 at = {name} - {less}; asm volatile("" : "+r"(at)); if (at >= {dimension}) return 0;'
    used = re.sub(rf"\[\s*{name}\s*-\s*{less}\s*\]", "[at]", text)
    fix = f"test the difference where clang cannot drop the test: {hidden}"
    yield Repair(what, fix, {line: put_before(used, hidden)})
