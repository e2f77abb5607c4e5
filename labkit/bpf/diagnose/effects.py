# SPDX-License-Identifier: Apache-2.0
"""What is accepted and changes nothing: statements, returned values; and maps that get no entry."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.finding import Finding

__all__ = ["never_filled", "warnings"]

_FILLS = "update|insert|increment|atomic_increment|lookup_or_init|lookup_or_try_init"
_KEPT = ("BPF_HASH", "BPF_PERCPU_HASH", "BPF_TABLE")


def warnings(code: Code) -> Iterator[Finding]:
    """Yield them."""
    for line, text in enumerate(code.bare.splitlines(), 1):
        if found := re.match(r"(?:.*[){;])?\s*\*\s*(\w+)\s*(\+\+|--)\s*;", text):
            what = f"{found[2]} moves the pointer {found[1]}; what it points to stays as it is"
            yield Finding(line, 0, what, f"write (*{found[1]}){found[2]};")
        elif found := re.match(r"\s*((?:\*\s*)?[\w.>-]+)\s*([-+|&])\s*(\w+)\s*;", text):
            if not re.match(r"\s*(?:return|goto|case)\b", text) and code.map_named(found[1]) is None:
                what = "this line computes a value, and keeps it nowhere"
                yield Finding(line, 0, what, f"to change it write {found[1]} {found[2]}= {found[3]};")
        yield from _returned(code, line, text)
    yield from _backslashes(code)
    yield from _copies(code)
    yield from _beyond(code)
    yield from _tested_wrongly(code)
    yield from _counted_twice(code)
    yield from _begun_anew(code)
    yield from _other_map(code)


def _counted_twice(code: Code) -> Iterator[Finding]:
    """Yield a map that counts the same system call where it begins, and again where it ends."""
    counted: dict[tuple[str, ...], int] = {}
    for found in re.finditer(
        r"(?:^|[;{}])\s*(\w+)\s*\.\s*(?:atomic_)?increment\s*\(\s*(\w+)\s*\)", code.bare, re.MULTILINE
    ):
        line = code.line_at(found.start(1))
        probe, declared = code.probe_at(line), code.declared(found[2], line)
        first = code.function_at(line)[1]
        if probe is None or probe.category not in ("syscalls", "raw_syscalls") or first != probe.line:
            continue
        if _is_conditional(code.inside(line), found.start(1) - code.position(first)):
            continue
        key = code.line(declared[0]).strip() if declared else found[2]
        call = re.sub(r"sys_(?:enter|exit)", "", probe.event)
        begun = counted.setdefault((found[1], key, call), line)
        if code.function_at(begun)[1] != first and "args->" not in key:
            what = f"{found[1]} counts this call here, and in line {begun}: each call is counted twice"
            yield Finding(line, 0, what, "count in one of the two functions")


def _is_conditional(function: str, at: int) -> bool:
    """Return whether a statement of a function is inside another one: a block, or the body of an if."""
    above = function[:at].rstrip()
    return above.count("{") - above.count("}") != 1 or not above.endswith((";", "{", "}"))


def _begun_anew(code: Code) -> Iterator[Finding]:
    """Yield a variable that begins with a constant, is counted up once, and then stored: the same value each time."""
    for found in re.finditer(r"\b(\w+)\s*\.\s*update\s*\(\s*&\s*\w+\s*,\s*&\s*(\w+)\s*\)", code.bare):
        line, name = code.line_at(found.start()), found[2]
        declared, inside = code.declared(name, line), code.inside(line)
        changes = [*re.finditer(rf"(?:\+\+\s*{name}\b|\b{name}\s*(?:\+\+|\+=\s*\d+\s*))\s*;", inside)]
        begun = declared and re.search(rf"\b{name}\s*=\s*(\d+)\s*;", code.line(declared[0]))
        if (
            not begun
            or len(changes) != 1
            or _is_conditional(inside, changes[0].start())
            or re.search(r"\b(?:for|while|do|goto)\b", inside)
        ):
            continue
        if len(re.findall(rf"\b{name}\b", inside)) == 3 and not re.search(rf"\b{found[1]}\s*\.\s*lookup", inside):
            what = f"{name} begins with {begun[1]} in each run: {found[1]} gets the same value each time"
            yield Finding(line, 0, what, f"let the map count: {found[1]}.increment(key)")


def _other_map(code: Code) -> Iterator[Finding]:
    """Yield a lookup in a hash that nothing fills, next to one of the same types that is filled and never looked up."""
    hashes = [each for each in code.maps if each.macro in _KEPT[:2]]
    unread = [each for each in hashes if _calls(code, each.name) and _calls(code, each.name) <= {"update", "insert"}]
    for each in hashes:
        alike = [other for other in unread if (other.key, other.value) == (each.key, each.value)]
        looked_up = code.find(rf"\b{each.name}\s*\.\s*lookup\s*\(")
        if alike and looked_up and never_filled(code, each.name):
            other = alike[0].name
            what = f"nothing puts an entry into {each.name}, and what is put into {other} is never looked up"
            yield Finding(looked_up[0], 0, what, f"did you mean {other}.lookup(…)?")


def _calls(code: Code, name: str) -> set[str]:
    return set(re.findall(rf"\b{name}\s*\.\s*(\w+)\s*\(", code.bare))


def _tested_wrongly(code: Code) -> Iterator[Finding]:
    """Yield what is done through a pointer where a test has just found it to be NULL: clang leaves it away."""
    looked_up = re.compile(r"\*\s*(\w+)\s*=\s*(?:\([^()]*\)\s*)?\w+\.lookup\w*\s*\([^;]*\)\s*;")
    for found in looked_up.finditer(code.bare):
        name, last = found[1], code.function_at(code.line_at(found.start()))[2]
        below = code.bare[found.end() : code.position(last + 1)]
        used = rf"(?:\*\s*{name}\b|\b{name}\s*->)"
        left = re.match(rf"\s*if\s*\(\s*{name}\s*(?:!=\s*(?:NULL|0)\s*)?\)\s*\{{?\s*return\b[^;]*;", below)
        within = re.search(rf"\bif\s*\(\s*(?:!\s*{name}|{name}\s*==\s*(?:NULL|0))\s*\)\s*\{{?\s*\(?\s*{used}", below)
        rest = below[left.end() :] if left else ""
        if left and re.search(used, rest) and not re.search(rf"(?:(?<![*\w])\s|\w\s*\*\s*){name}\s*=[^=]", rest):
            line = code.line_at(found.end() + left[0].index("if"))
            what = f"this returns where {name} was found: below, {name} is NULL, and nothing is done"
            yield Finding(line, 0, what, f"write if (!{name})")
        elif within:
            what = f"what follows runs where {name} is NULL, and then does nothing"
            yield Finding(code.line_at(found.end() + within.start()), 0, what, f"write if ({name})")


def _copies(code: Code) -> Iterator[Finding]:
    """Yield a copy of a map's value that is changed, and then neither used nor written back."""
    for found in re.finditer(r"[;{}\n]\s*(?:struct\s+)?\w+\s+(\w+)\s*=\s*\*\s*(\w+)\s*;", code.bare):
        name, pointer = found.groups()
        line = code.line_at(found.end())
        inside, last = code.inside(line), code.function_at(line)[2]
        if not re.search(rf"\b{pointer}\s*=\s*(?:\([^()]*\)\s*)?(\w+)\.lookup", inside):
            continue
        end = code.position(last + 1)
        below = code.bare[found.end() : end]
        member = rf"{name}(?:\.\w+)*"
        changes = list(
            re.finditer(
                rf"(?:^|(?<=[;{{}})\n]))\s*(?:{member}\s*(?:\+\+|--|[-+*/|&^]?=(?!=)[^;]*)|"
                rf"(?:\+\+|--)\s*{member})\s*;",
                below,
            )
        )
        uses = len(re.findall(rf"\b{name}\b", below))
        inner = sum(len(re.findall(rf"\b{name}\b", each[0])) for each in changes)
        if changes and uses == inner:
            at = code.line_at(found.end() + len(changes[0][0]) - len(changes[0][0].lstrip()) + changes[0].start())
            stated = changes[0][0].strip()
            own = f"(*{pointer})" if "++" in stated or "--" in stated else f"*{pointer}"
            right = re.sub(rf"\b{name}\b", own, stated.replace(f"{name}.", f"{pointer}->"))
            what = f"{name} is a copy of *{pointer} (line {code.line_at(found.end() - 1)}): the map keeps the old value"
            yield Finding(at, 0, what, f"change the map's own: {right}")


def _beyond(code: Code) -> Iterator[Finding]:
    """Yield a constant index that an array does not have: nothing is found there, and nothing is stored."""
    call = r"\b(\w+)\s*\.\s*(lookup|increment|atomic_increment|update|call)\s*\("
    for found in re.finditer(call, code.bare):
        line, each = code.line_at(found.start()), code.map_named(found[1])
        if each is None or each.macro not in ("BPF_ARRAY", "BPF_PERCPU_ARRAY", "BPF_PROG_ARRAY"):
            continue
        given, entries = code.arguments(line, rf"{found[1]}\s*\.\s*{found[2]}"), code.constant(each.entries or "10240")
        at = 1 if found[2] == "call" else 0
        index = _constant_index(code, line, given[at]) if at < len(given) else None
        if entries and index is not None and index >= entries:
            what = f"{each.name} has {entries} {'entry, 0' if entries == 1 else f'entries, 0 to {entries - 1}'}: "
            what += f"{index} is behind its end, and this call does nothing"
            yield Finding(line, 0, what, f"use an index below {entries}, or declare {index + 1} entries")


def _constant_index(code: Code, line: int, written: str) -> int | None:
    """Return the value of an index that is a constant, or a variable that is set only where it is declared."""
    name = written.lstrip("& ")
    if not written.startswith("&"):
        return code.constant(written)
    declared = code.declared(name, line) if name.isidentifier() else None
    if declared is None or not code.function_at(line)[1] <= declared[0] <= line:
        return None
    inside = code.inside(line)
    set_to = re.findall(rf"(?:\+\+|--)\s*{name}\b|\b{name}\s*(?:\+\+|--|[-+*/|&^%]=|<<=|>>=|=(?!=)[^;,]*)", inside)
    passed = re.findall(rf"\b(\w+)\s*\([^;]*&\s*{name}\b", inside)
    if len(set_to) != 1 or any(each not in ("lookup", "update", "delete") for each in passed):
        return None
    return code.constant(set_to[0].partition("=")[2])


def _returned(code: Code, line: int, text: str) -> Iterator[Finding]:
    found = re.search(r"\breturn\s+-\s*(\w+)\s*;", text)
    if found is None:
        return
    end = code.bare.find("\n", sum(len(each) + 1 for each in code.lines[: line - 1]))
    heads = re.findall(r"^(TRACEPOINT_PROBE|RAW_TRACEPOINT_PROBE|\w[^;{}\n]*\))", code.bare[:end], re.MULTILINE)
    if heads and "TRACEPOINT_PROBE" in heads[-1]:
        what = "what a probe returns stops nothing: the event goes on"
        yield Finding(line, 0, what, "write return 0;")
    elif heads and "struct xdp_md" in heads[-1]:
        what = f"-{found[1]} is no result of an XDP program: the packet is dropped, as with XDP_ABORTED"
        yield Finding(line, 0, what, "return XDP_PASS, XDP_DROP, XDP_TX or XDP_REDIRECT")


def never_filled(code: Code, name: str) -> str:
    """Return what to know of a hash that is looked up, and that no line of the program fills; empty of another map."""
    each = code.map_named(name)
    if each is None or each.macro not in _KEPT or (each.macro == "BPF_TABLE" and "hash" not in code.line(each.line)):
        return ""
    named, calls = re.findall(rf"\b{name}\b", code.bare), re.findall(rf"\b{name}\s*\.\s*(\w+)", code.bare)
    if len(named) != len(calls) + 1 or "lookup" not in calls or any(re.fullmatch(_FILLS, call) for call in calls):
        return ""
    fill = "update(&key, &value)" if each.value.startswith("struct") else "increment(key)"
    return f"No line of the program puts an entry into {name}: write {name}.{fill} where lookup gives NULL."


def _backslashes(code: Code) -> Iterator[Finding]:
    for found in re.finditer(r'bpf_trace_printk\s*\(\s*"(?:[^"\\\n]|\\.)*?\\\\n', code.bare):
        what = r"\\n prints a backslash and the letter n: it is \n in a Python text, and one backslash is enough here"
        yield Finding(code.line_at(found.start()), 0, what, r"write \n")
