# SPDX-License-Identifier: Apache-2.0
"""The table of what clang says: its words, what they mean in a BPF program, and what to write instead.

A row is a pattern of clang's words, and a function that gives (what is wrong, the fix), or None where it does not know.
What no row fits is shown as clang said it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from labkit.bpf.diagnose import functions
from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.events import event_problem, fields, near
from labkit.bpf.diagnose.finding import Finding
from labkit.bpf.diagnose.said import Said

__all__ = ["error", "warnings"]

Match = re.Match[str]
Answer = tuple[str, str] | None
_HASH = "lookup, lookup_or_try_init, update, insert, increment, delete"
_METHODS = {
    "BPF_RINGBUF_OUTPUT": "ringbuf_reserve, ringbuf_submit, ringbuf_discard, ringbuf_output",
    "BPF_PERF_OUTPUT": "perf_submit",
    "BPF_ARRAY": "lookup, update, increment",
    "BPF_PERCPU_ARRAY": "lookup, update, increment",
    "BPF_HISTOGRAM": "increment, atomic_increment, lookup, update",
}
_LIKELY = {
    "add": "increment",
    "inc": "increment",
    "get": "lookup",
    "set": "update",
    "put": "update",
    "remove": "delete",
}
_C_NAMES = {"task_struct": "for its name: bpf_get_current_comm(&comm, sizeof(comm)); else: #include <linux/sched.h>"}


@dataclass(frozen=True)
class Row:
    """One thing that clang says; `answer` gets the match, the program and the diagnostic."""

    says: str
    answer: Callable[[Match, Code, Said], Answer]
    root: bool = False  # the mistake itself, where other errors only follow from it
    explains: bool = False  # what the verifier refuses is this mistake


def _field(found: Match, code: Code, said: Said) -> Answer:
    field, category, event = found.groups()
    known = fields(category, event)
    if not known:
        return None
    what = f"{category}:{event} has no field {field}"
    entry = event.replace("sys_exit_", "sys_enter_")
    if entry != event and field in fields(category, entry):
        return (
            what,
            f"its fields are: {', '.join(known)}; {field} belongs to {entry}: keep it in a map there, by thread",
        )
    close = near(field, known) or next((each for each in known if each in field or field in each), "")
    return what, (f"did you mean {close}? " if close else "") + f"Its fields are: {', '.join(known)}"


def _raw(found: Match, code: Code, said: Said) -> Answer:
    probe = code.probe_at(said.line)
    what = f"a raw tracepoint's context has no field {found[1]}: it has only args, the event's arguments as numbers"
    if probe and probe.event == "sys_enter":
        return (
            what,
            "the call's number is ctx->args[1]; for named fields: TRACEPOINT_PROBE(raw_syscalls, sys_enter)",
        )
    return what, "write ctx->args[0], ctx->args[1], …; for named fields use TRACEPOINT_PROBE(category, event)"


def _method(found: Match, code: Code, said: Said) -> Answer:
    method, name = found.groups()
    declared = code.map_named(name)
    known = _METHODS.get(declared.macro if declared else "", _HASH)
    close = _LIKELY.get(method, "") or near(method, known.split(", "), 0.6)
    close = close if close in known.split(", ") else ""
    return f"the map {name} has no method {method}", (f"did you mean {close}? " if close else "") + f"It has: {known}"


def _undeclared(found: Match, code: Code, said: Said) -> Answer:
    name, probe = found[1], code.probe_at(said.line)
    line = code.lines[said.line - 1] if 0 < said.line <= len(code.lines) else ""
    if name == "ctx" and probe and probe.kind == "TRACEPOINT_PROBE":
        return "in TRACEPOINT_PROBE the record is called args, not ctx", line.strip().replace("ctx->", "args->")
    if name == "args" and probe and probe.kind == "RAW_TRACEPOINT_PROBE":
        return "in a raw tracepoint the context is called ctx", "write ctx->args[0], ctx->args[1], …"
    if name == "args" and (probe is None or "kprobe" in probe.kind):
        return (
            "args belongs to TRACEPOINT_PROBE; here the function's own parameters are used",
            "write the parameter's own name",
        )
    if name in ("std", "cout", "nullptr", "new", "delete", "this"):
        return f"{name} is C++, and this is C", "write C: NULL, pointers and functions"
    if re.match(rf"\s*{name}\s+\w+\s*[=;]", line):
        return _type(found, code, said)
    if name in ("None", "True", "False"):
        return f"{name} is Python, and this is C", "write NULL, true or false"
    names = set(re.findall(r"\b[A-Za-z_]\w{2,}\b", re.sub(r'"[^"]*"', "", code.bare))) - {name}
    close = near(name, names, 0.75)
    return (
        f"{name} is not declared",
        f"did you mean {close}?" if close else f"declare it before this line: u64 {name} = 0;",
    )


def _subscript(found: Match, code: Code, said: Said) -> Answer:
    line = code.lines[said.line - 1]
    used = next((each for each in code.maps if re.search(rf"\b{each.name}\s*\[", line)), None)
    if used is None:
        return None
    inside = re.search(rf"\b{used.name}\s*\[([^\]]*)\]", line)
    key = inside[1].strip() if inside else "k"
    if re.search(rf"\b{used.name}\s*\[[^\]]*\]\s*(?:\+\+|\+=\s*1\b)", line):
        return f"a map is not an array: {used.name}[{key}] is not C", f"write {used.name}.increment({key});"
    pointed = f"&{key}" if key.isidentifier() else "&key"
    return (
        f"a map is not an array: {used.name}[{key}] is not C",
        f"write {used.name}.lookup({pointed}): it gives a pointer, NULL where there is no such key: test it first",
    )


def _hidden(found: Match, code: Code, said: Said) -> Answer:
    line = code.lines[said.line - 1]
    for each in code.maps:
        declared = re.compile(rf"^\s*(?:u\d+|s\d+|int|long|unsigned|char|size_t|struct \w+)[\s*]+{each.name}\b")
        hiding = next((n for n, text in enumerate(code.lines[: said.line], 1) if declared.match(text)), None)
        if re.search(rf"\b{each.name}\s*\.", line) and hiding:
            return (
                f"the variable {each.name} (line {hiding}) hides the map {each.name} (line {each.line})",
                "give the variable another name",
            )
    return None


def _header(found: Match, code: Code, said: Said) -> Answer:
    if found[1] in (
        "stdio.h",
        "stdlib.h",
        "string.h",
        "unistd.h",
        "time.h",
        "math.h",
        "pthread.h",
        "errno.h",
        "iostream",
    ):
        return (
            f"there is no C library in the kernel, so no {found[1]}",
            'take the line away; to print, write bpf_trace_printk("…")',
        )
    return (
        f"the header {found[1]} is not there",
        "the kernel's own are linux/….h, uapi/linux/….h and net/….h; the lab's is labkit.h",
    )


def _clash(found: Match, code: Code, said: Said) -> Answer:
    name = found[1]
    lines = [each.line for each in code.maps if each.name == name]
    if len(lines) > 1:
        return f"two maps are named {name} (lines {lines[0]} and {lines[1]})", "give one of them another name"
    if name.startswith("labkit_"):
        return (
            f"labkit.h has a map named {name} already",
            f"give yours another name, such as my_{name.removeprefix('labkit_')}",
        )
    return None


def _type(found: Match, code: Code, said: Said) -> Answer:
    name = found[1]
    if name == "string":
        return "C has no type string", "declare a struct that holds the letters: struct name { char text[16]; };"
    if name in ("def", "import", "from", "class", "let", "var", "auto"):
        return (
            f"{name} is another language's word; this is C",
            "write C: a probe begins with TRACEPOINT_PROBE(category, event) {",
        )
    known = ["u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "int", "char", "bool", "size_t", "long", "pid_t"]
    close = near(name, known + re.findall(r"\bstruct\s+(\w+)", code.bare), 0.6)
    return (
        f"there is no type {name}",
        f"did you mean {close}?" if close else "declare the struct above this line, or use u32 or u64",
    )


def _incomplete(found: Match, code: Code, said: Said) -> Answer:
    name = found[1]
    if name == "bpf_map":
        return (
            "a map cannot be passed to a function",
            "use the map by its own name inside the function: calls.increment(k);",
        )
    if name in _C_NAMES:
        return f"the fields of struct {name} are not known here", _C_NAMES[name]
    return (
        f"the fields of struct {name} are not known here",
        "include the header that defines it, or declare it above this line",
    )


def _call(found: Match, code: Code, said: Said) -> Answer:
    return functions.missing(found[1], code)


def _key(found: Match, code: Code, said: Said) -> Answer:
    passed, wanted = (re.sub(r"\s*\*$", "", each) for each in found.groups())
    one, other = code.size_of(passed), code.size_of(wanted)
    line = code.lines[said.line - 1]
    used = next((each for each in code.maps if re.search(rf"\b{each.name}\s*\.\s*\w+\s*\(", line)), None)
    if one is None or other is None or one == other or used is None or "(" in passed:
        return None
    part = "key" if used.key.strip() == wanted or (not used.key and wanted in ("u64", "int")) else "value"
    name = re.match(r"&(\w+)", line[said.column - 1 :]) if said.column else None
    mine = name[1] if name else "the variable"
    return (
        f"a {part} of {used.name} has {other} bytes ({wanted}), {mine} has {one} ({passed})",
        f"declare {mine} as {wanted}",
    )


def _pointer(found: Match, code: Code, said: Said) -> Answer:
    into, what = found[1], found[2]
    if "(" in what:
        called = re.search(r"=\s*(\w+)\s*;", code.lines[said.line - 1])
        name = called[1] if called else "the function"
        return f"{name} is named here, not called", f"write {name}()"
    if ".lookup" in code.lines[said.line - 1]:
        name = re.search(r"(\w+)\s*=", code.lines[said.line - 1])
        mine = name[1] if name else "p"
        return (
            f"lookup gives a pointer, and {mine} is a number ({into})",
            f"write {into} *{mine} = …; if (!{mine}) return 0; and use *{mine}",
        )
    return None


def _fixed(what: str, fix: str) -> Callable[[Match, Code, Said], Answer]:
    return lambda found, code, said: (what, fix)


def _macro(found: Match, code: Code, said: Said) -> Answer:
    line = code.lines[said.line - 1]
    for number, text in enumerate(code.lines, 1):
        defined = re.match(r"\s*#\s*define\s+(\w+)\s.*;\s*$", text)
        if defined and re.search(rf"\b{defined[1]}\b", line):
            return (
                f"the macro {defined[1]} (line {number}) ends with a semicolon, which comes along here",
                f"take the ; away at the end of line {number}",
            )
    return None


def _cpp(found: Match, code: Code, said: Said) -> Answer:
    line = code.lines[said.line - 1]
    if re.search(r"\bauto\s*&|\w\s*&\s*\w+\s*=|::|\bclass\b|\btemplate\b", line):
        return "this is C++, and a BPF program is C", "write C: a map is used by its own name, a reference is a pointer"
    return None


def _lookup(found: Match, code: Code, said: Said) -> Answer:
    line = code.lines[said.line - 1]
    used = re.search(r"\*\s*(\w+)\.lookup\w*\(([^)]*)\)", line)
    if used is None:
        return None
    declared = code.map_named(used[1])
    kind = declared.value if declared and declared.value else "u64"
    return (
        "what lookup gives has to be kept in a variable before it is used",
        f"write {kind} *n = {used[1]}.lookup({used[2]}); if (n) *n += 1;",
    )


ERRORS: tuple[Row, ...] = (
    Row(
        r"cannot use map function inside a macro",
        _fixed("a macro cannot call a map's methods", "make it a function: static inline void bump(u32 k) { … }"),
        root=True,
    ),
    Row(
        r"unexpected character <U\+201[89CD]>|character <U\+201[89CD]> not allowed",
        _fixed("these are typographic quotes", "write the plain quotes: \" and '"),
        root=True,
    ),
    Row(
        r"pasting formed 'tracepoint__\"",
        _fixed("the names of a tracepoint take no quotes", "write TRACEPOINT_PROBE(category, event)"),
        root=True,
    ),
    Row(
        r"too few arguments provided to function-like macro",
        _fixed(
            "a tracepoint has two names: its category and its event", "write TRACEPOINT_PROBE(syscalls, sys_enter_read)"
        ),
        root=True,
    ),
    Row(r"no member named '(\w+)' in 'struct tracepoint__(\w+?)__(\w+)'", _field),
    Row(r"no member named '(\w+)' in 'struct bpf_raw_tracepoint_args'", _raw),
    Row(r"no member named '(\w+)' in 'struct (\w+)_table_t'", _method),
    Row(r"use of undeclared identifier '(\w+)'", _undeclared),
    Row(r"subscripted value is not an array", _subscript),
    Row(r"member reference (?:base )?type '", _hidden),
    Row(
        r"incomplete definition of type 'struct tracepoint__(\w+?)__(\w+)'",
        lambda found, code, said: event_problem(*found.groups()),
    ),
    Row(r"incomplete definition of type 'struct (\w+)'", _incomplete),
    Row(r"'(\S+)' file not found", _header),
    Row(r"redefinition of '(\w+?)(?:_table_t)?'", _clash),
    Row(r"unexpected ';' before '\)'", _macro),
    Row(r"expected ';'", _fixed("a semicolon is missing at the end of this line", "end the line with ;")),
    Row(r"invalid preprocessing directive", _fixed("# begins no comment in C", "write // before a comment")),
    Row(r"unknown type name '(\w+)'", _type),
    Row(r"expected identifier or '\('", _cpp),
    Row(r"invalid operands to binary expression \('void'|dereferencing .*'void|indirection requires", _lookup),
)
WARNINGS: tuple[Row, ...] = (
    Row(r"implicit(?:ly)? declar(?:ation of|ing library) function '(\w+)'", _call, explains=True),
    Row(
        r"using the result of an assignment as a condition",
        _fixed("= stores, == compares", "write == in this condition"),
        explains=True,
    ),
    Row(r"incompatible pointer types passing '(.+?)'.* to parameter of type '(.+?)'", _key, explains=True),
    Row(
        r"incompatible pointer to integer conversion \w+ '(.+?)'.* with an expression of type '(.+?)'",
        _pointer,
        explains=True,
    ),
    Row(
        r"only %d %u",
        _fixed(
            "this conversion is not supported, so the line never prints",
            "use only %d %u %x %ld %lu %lx %lld %llu %llx %p %s; no floating point",
        ),
    ),
    Row(
        r"variable '(\w+)' is (?:used )?uninitialized",
        lambda found, code, said: (
            f"{found[1]} may be used before it has a value",
            f"set it where it is declared: {found[1]} = 0",
        ),
    ),
    Row(
        r"(?:division|remainder) by zero",
        _fixed("this divides by zero; in BPF the result is 0", "test the divisor first"),
    ),
    Row(
        r"non-void function does not return",
        _fixed("not every path returns a value; BCC returns 0 there", "end the function with return 0;"),
    ),
    Row(
        r"result of comparison against a string literal|comparison between pointer and integer",
        _fixed("a letter is compared with a text, which is never equal", "write the letter in single quotes: 'p'"),
    ),
)


def error(said: Sequence[Said], code: Code) -> Finding | None:
    """Return what is wrong where clang refused, None where it said nothing of the learner's lines."""
    errors = [each for each in said if each.kind == "error"]
    if not errors:
        return None
    for row in (row for row in ERRORS if row.root):
        for each in errors:
            if (found := re.search(row.says, each.words)) and (answer := row.answer(found, code, each)):
                return Finding(each.line, each.column, *answer, words=each.words)
    first = errors[0]
    return _in_words(first, code, ERRORS) or Finding(
        first.line, first.column, f"clang says: {first.words}", "correct the line named, and run again", ""
    )


def warnings(said: Sequence[Said], code: Code, *, explaining: bool = False) -> list[Finding]:
    """Return clang's warnings in words, each line once; `explaining` keeps those that explain a refusal."""
    rows = tuple(row for row in WARNINGS if row.explains or not explaining)
    found: dict[tuple[int, str], Finding] = {}
    for each in (each for each in said if each.kind == "warning"):
        told = _in_words(each, code, rows)
        if told is None and not explaining:
            told = Finding(each.line, each.column, f"clang warns: {each.words}", "")
        if told:
            found.setdefault((told.line, told.what), replace(told, words=each.words))
    return list(found.values())


def _in_words(said: Said, code: Code, rows: Sequence[Row]) -> Finding | None:
    for row in rows:
        if (found := re.search(row.says, said.words)) and (answer := row.answer(found, code, said)):
            return Finding(said.line, said.column, *answer, words=said.words)
    return None
