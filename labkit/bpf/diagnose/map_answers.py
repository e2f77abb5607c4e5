# SPDX-License-Identifier: Apache-2.0
"""The answers of the table in `clang` that are about maps: their methods, arguments, keys and names."""

from __future__ import annotations

import re

from labkit.bpf.diagnose.code import Code, Map, preceded
from labkit.bpf.diagnose.events import near
from labkit.bpf.diagnose.said import Answer, Match, Said, edit

__all__ = [
    "arguments",
    "by_value",
    "clash",
    "followed",
    "hidden",
    "key",
    "lookup",
    "method",
    "no_such_macro",
    "not_followed",
    "passed",
    "pointer",
    "struct_as_key",
    "subscript",
    "text_as_key",
    "value_type",
]

_HASH = "lookup, lookup_or_try_init, update, insert, increment, delete"
_METHODS = {
    "BPF_RINGBUF_OUTPUT": "ringbuf_reserve, ringbuf_submit, ringbuf_discard, ringbuf_output",
    "BPF_PERF_OUTPUT": "perf_submit",
    "BPF_ARRAY": "lookup, update, increment",
    "BPF_PERCPU_ARRAY": "lookup, update, increment",
    "BPF_HISTOGRAM": "increment, atomic_increment, lookup, update",
    "BPF_STACK_TRACE": "get_stackid",
    "BPF_PROG_ARRAY": "call",
    "BPF_QUEUE": "push, pop, peek",
    "BPF_STACK": "push, pop, peek",
    "BPF_CGROUP_ARRAY": "check_current_task",
    "BPF_PERF_ARRAY": "perf_read",
    "BPF_SOCKMAP": "sock_map_update, sk_redirect_map, msg_redirect_map",
    "BPF_SOCKHASH": "sock_hash_update, sk_redirect_hash, msg_redirect_hash",
}
_IS = {  # what a map is, in words, by its macro
    "BPF_RINGBUF_OUTPUT": "a ring buffer",
    "BPF_PERF_OUTPUT": "a perf buffer",
    "BPF_ARRAY": "an array",
    "BPF_PERCPU_ARRAY": "a per-CPU array",
    "BPF_HASH": "a hash",
    "BPF_HISTOGRAM": "a histogram",
    "BPF_STACK_TRACE": "a map of stacks",
}
_LIKELY = {
    "add": "increment",
    "inc": "increment",
    **dict.fromkeys(("get", "contains", "has", "exists", "find"), "lookup"),
    "set": "update",
    "put": "update",
    "remove": "delete",
}
_CALLS = {
    "ringbuf_submit": "(record, 0)",
    "ringbuf_discard": "(record, 0)",
    "ringbuf_output": "(&record, sizeof(record), 0)",
    "ringbuf_reserve": "(sizeof(struct record))",
    "perf_submit": "(args, &record, sizeof(record))",
    "lookup": "(&key)",
    "update": "(&key, &value)",
    "insert": "(&key, &value)",
    "delete": "(&key)",
    "increment": "(key) or (key, by)",
    "lookup_or_try_init": "(&key, &zero)",
    "call": "(args, index)",
    "get_stackid": "(args, 0)",
    "push": "(&value, 0)",
    "pop": "(&value)",
    "peek": "(&value)",
}


# what a program in the kernel does not do with a map, and a cell in Python does
_OF_PYTHON = {
    **dict.fromkeys(("size", "length", "len", "count"), 'len(NAME.map("{}"))'),
    **dict.fromkeys(("items", "keys", "values", "print", "show", "iter", "foreach", "sort"), 'NAME.map("{}")'),
    **dict.fromkeys(("clear", "zero", "reset"), "NAME.clear()"),
}


def method(found: Match, code: Code, said: Said) -> Answer:
    method, name = found.groups()
    declared = code.map_named(name)
    known = _METHODS.get(declared.macro if declared else "", _HASH)
    kind = declared.macro if declared else ""
    homes = [macro for macro, methods in _METHODS.items() if method in methods.split(", ") and macro != kind]
    if method not in _LIKELY and homes and method not in known.split(", ") and kind in _IS:
        return _of_another(method, name, kind, homes[0], known, code, said)
    if method in _OF_PYTHON:
        what = f"the map {name} has no method {method}: its methods take one entry at a time"
        return what, f"in another cell, in Python: {_OF_PYTHON[method].format(name)}"
    close = _LIKELY.get(method, "") or near(method, known.split(", "), 0.6)
    close = close if close in known.split(", ") else ""
    hint = (f"did you mean {close}? " if close else "") + f"It has: {known}"
    return f"the map {name} has no method {method}", hint, edit(code, said, f".{method}", close and f".{close}")


def _of_another(method: str, name: str, kind: str, home: str, known: str, code: Code, said: Said) -> Answer:
    """Answer a method that another kind of map has."""
    line, given = code.line(said.line), code.arguments(said.line, method)
    declared = code.map_named(name)
    at = f" (line {declared.line})" if declared else ""
    what = f"{name} is {_IS[kind]}{at}, and {method} is a method of {home}"
    sent, record = "", ""
    if kind == "BPF_RINGBUF_OUTPUT" and method == "perf_submit" and len(given) == 3:
        record, sent = given[1], f"{name}.ringbuf_output({given[1]}, {given[2]}, 0)"
    elif kind == "BPF_PERF_OUTPUT" and method == "ringbuf_output" and len(given) == 3:
        record, sent = given[0], f"{name}.perf_submit(args, {given[0]}, {given[1]})"
    if not record:
        return what, f"declare {name} with {home}, or use what it has: {known}"
    edited = re.sub(rf"\b{name}\s*\.\s*{method}\s*\(.*\)(?=\s*;)", lambda _: sent, line)
    return what, f"write {sent}", {said.line: edited}


def passed(found: Match, code: Code, said: Said) -> Answer:
    """Answer a map that is passed where a record, a key or a value is wanted."""
    name = found[1]
    declared = code.map_named(name)
    if declared is None:
        return None
    what = f"{name} is a map ({declared.macro}, line {declared.line}), and the address of a variable is wanted here"
    return what, f"pass a variable: &event; what is in {name} is read by {name}.lookup(&key)"


def text_as_key(found: Match, code: Code, said: Said) -> Answer:
    """Answer a text where a struct with an array of letters is wanted."""
    line = code.line(said.line)
    text = re.search(r'"(?:\\.|[^"\\])*"', line[said.column - 1 :] if said.column else line)
    body = code.find(rf"\bstruct\s+{found[2]}\s*\{{\s*(?:unsigned\s+)?char\s+(\w+)\s*\[[^\]]*\]\s*;\s*\}}")
    if text is None or body is None:
        return None
    made = f"struct {found[2]} key = {{.{body[1][1]} = {text[0]}}};"
    indent = line[: len(line) - len(line.lstrip())]
    edited = f"{indent}{made} {line.lstrip().replace(text[0], 'key', 1)}"
    what = f"the text {text[0]} is passed where a struct {found[2]} is wanted"
    return what, f"write {made} and pass key", {said.line: edited}


def by_value(found: Match, code: Code, said: Said) -> Answer:
    """Answer a struct that is passed where its address is wanted."""
    line = code.line(said.line)
    name = re.match(r"\w+", line[said.column - 1 :]) if said.column else None
    if name is None:
        return None
    edited = f"{line[: said.column - 1]}&{line[said.column - 1 :]}"
    return f"the address of {name[0]} is wanted here, not {name[0]} itself", f"write &{name[0]}", {said.line: edited}


def not_followed(found: Match, code: Code, said: Said) -> Answer:
    """Answer a computation with a pointer where the number that it points to is meant."""
    line = code.line(said.line)
    for name in dict.fromkeys(re.findall(r"(?<![\w*.>&])([A-Za-z_]\w*)(?!\w|\s*[(\[.]|->)", line)):
        pointer = re.search(rf"\b[us]\d+\s*\*\s*{name}\b", code.above(said.line - 1))
        if pointer:
            edited = re.sub(rf"(?<![\w*.>&]){name}\b", f"*{name}", line)
            what = f"{name} is a pointer to the number, not the number"
            return what, f"write *{name}", {said.line: edited}
    return None


def subscript(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    used = next((each for each in code.maps if re.search(rf"\b{each.name}\s*\[", line)), None)
    if used is None:
        return None
    inside = re.search(rf"\b{used.name}\s*\[([^\]]*)\]", line)
    key = inside[1].strip() if inside else "k"
    if re.search(rf"\b{used.name}\s*\[[^\]]*\]\s*(?:\+\+|\+=\s*1\b)", line):
        right = f"{used.name}.increment({key})"
        text = re.sub(rf"\b{used.name}\s*\[[^\]]*\]\s*(?:\+\+|\+=\s*1\b)", lambda _: right, line)
        return f"a map is not an array: {used.name}[{key}] is not C", f"write {right};", {said.line: text}
    added = re.fullmatch(
        rf"(\s*){used.name}\s*\[([^\]]*)\]\s*(?:\+=|=\s*{used.name}\s*\[\s*\2\s*\]\s*\+)\s*([^;]+);(.*)", line
    )
    if added:
        right = f"{used.name}.increment({key}, {added[3].strip()});"
        text = f"{added[1]}{right}{added[4]}"
        return f"a map is not an array: {used.name}[{key}] is not C", f"write {right}", {said.line: text}
    pointed = f"&{key}" if key.isidentifier() else "&key"
    return (
        f"a map is not an array: {used.name}[{key}] is not C",
        f"write {used.name}.lookup({pointed}): it gives a pointer, NULL where there is no such key: test it first",
    )


def hidden(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    inner = re.search(r"\b(\w+)(?:\.|->)(lookup|update|delete)\s*\(([^()]*)\)", line)
    if inner and re.search(rf"\bvoid\s*\*\s*{inner[1]}\s*=\s*\w+\.lookup", code.bare):
        rest = ", BPF_ANY" if inner[2] == "update" else ""
        right = f"bpf_map_{inner[2]}_elem({inner[1]}, {inner[3]}{rest})"
        what = f"{inner[1]} is the address of a map, which has no methods"
        return what, f"write {right}", {said.line: line.replace(inner[0], right)}
    for each in code.maps:
        declared = re.compile(rf"^\s*(?:u\d+|s\d+|int|long|unsigned|char|size_t|struct \w+)[\s*]+{each.name}\b")
        hiding = next((n for n, text in enumerate(code.lines[: said.line], 1) if declared.match(text)), None)
        if re.search(rf"\b{each.name}\s*\.", line) and hiding:
            return (
                f"the variable {each.name} (line {hiding}) hides the map {each.name} (line {each.line})",
                "give the variable another name",
            )
    return None


def clash(found: Match, code: Code, said: Said) -> Answer:
    name = found[1]
    lines = [each.line for each in code.maps if each.name == name]
    if len(lines) > 1:
        return f"two maps are named {name} (lines {lines[0]} and {lines[1]})", "give one of them another name"
    if lines and " as different kind of symbol" in said.words:
        edits = {
            at: re.sub(rf"(?<![\w.>]){name}\b", f"my_{name}", text)
            for at, text in enumerate(code.lines, 1)
            if re.search(rf"(?<![\w.>]){name}\b", text)
        }
        return f"{name} is already the name of a function or type of C", f"give the map another name: my_{name}", edits
    if own := code.find(rf"\bstruct\s+{name}\s*\{{"):
        edits = {
            at: re.sub(rf"\bstruct\s+{name}\b", f"struct my_{name}", text)
            for at, text in enumerate(code.lines, 1)
            if re.search(rf"\bstruct\s+{name}\b", text)
        }
        what = f"struct {name} (line {own[0]}) is already in the kernel's headers"
        return what, f"give yours another name: struct my_{name}", edits
    if name.startswith("labkit_"):
        return (
            f"labkit.h has a map named {name} already",
            f"give yours another name, such as my_{name.removeprefix('labkit_')}",
        )
    return None


def key(found: Match, code: Code, said: Said) -> Answer:
    passed, wanted = (re.sub(r"\s*\*$", "", each) for each in found.groups())
    one, other = code.size_of(passed), code.size_of(wanted)
    line = code.line(said.line)
    used = next((each for each in code.maps if re.search(rf"\b{each.name}\s*\.\s*\w+\s*\(", line)), None)
    if one is None or other is None or one == other or used is None or "(" in passed:
        return None
    if told := _swapped(used, code, said.line):
        return told
    part = "key" if used.key.strip() == wanted or (not used.key and wanted in ("u64", "int")) else "value"
    name = re.match(r"&(\w+)", line[said.column - 1 :]) if said.column else None
    name = name or re.search(rf"\b{used.name}\s*\.\s*\w+\s*\([^&]*&(\w+)\s*\)", line)
    mine = name[1] if name else "the variable"
    at = code.declared(mine, said.line)
    wider = {at[0]: re.sub(rf"\b{re.escape(at[1])}(\s+{mine}\b)", rf"{wanted}\1", code.lines[at[0] - 1])} if at else {}
    return (
        f"a {part} of {used.name} has {other} bytes ({wanted}), {mine} has {one} ({passed})",
        f"declare {mine} as {wanted}" + (f" (line {at[0]})" if at else ""),
        wider,
    )


def struct_as_key(found: Match, code: Code, said: Said) -> Answer:
    """Answer a struct as the key of a map that was declared without a type for its keys."""
    used = next((each for each in code.maps if re.search(rf"\b{each.name}\s*\.", code.line(said.line))), None)
    if used is None or used.key not in ("", "u64"):
        return None
    right = f"{used.macro}({used.name}, struct {found[1]}{', u64' if 'HASH' in used.macro else ''})"
    edits = {used.line: re.sub(rf"{used.macro}\s*\([^()]*\)", right, code.line(used.line))}
    return (
        f"a key of {used.name} is a u64, and a struct {found[1]} is passed",
        f"in line {used.line} write {right}",
        edits,
    )


def _swapped(used: Map, code: Code, line: int) -> tuple[str, str, dict[int, str]] | None:
    """Return the answer to update(&value, &key)."""
    method = next(
        (one for one in ("update", "insert") if re.search(rf"\b{used.name}\s*\.\s*{one}\s*\(", code.line(line))), ""
    )
    given = code.arguments(line, method)
    kinds = [code.declared(each.lstrip("& "), line) for each in given]
    sizes = [code.size_of(each[1]) if each else None for each in kinds]
    wanted = [code.size_of(used.key or "u64"), code.size_of(used.value or "u64")]
    if len(given) != 2 or None in sizes or sizes != wanted[::-1] or sizes == wanted:
        return None
    right = f"{used.name}.{method}({given[1]}, {given[0]})"
    key, value = used.key or "u64", used.value or "u64"
    what = f"the key comes first, then the value: a key of {used.name} is {key}, a value {value}"
    edits = {line: re.sub(rf"\b{used.name}\s*\.\s*{method}\s*\([^()]*\)", lambda _: right, code.line(line))}
    return what, f"write {right}", edits


def no_such_macro(found: Match, code: Code, said: Said) -> Answer:
    """Answer a declaration by a macro that BCC does not have."""
    macro = re.match(r"\s*(BPF_[A-Z_]+)\s*\(", code.line(said.line))
    if macro is None:
        return None
    known = "BPF_HASH, BPF_ARRAY, BPF_PERCPU_HASH, BPF_PERCPU_ARRAY, BPF_HISTOGRAM, BPF_QUEUE, BPF_STACK, BPF_LPM_TRIE"
    return f"this BCC has no {macro[1]}", f'choose another kind of map: {known}, or BPF_TABLE("lru_hash", …)'


def lookup(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    used = re.search(r"\*\s*((\w+)\.lookup\w*\([^()]*\))", line)
    if used is None:
        return None
    declared = code.map_named(used[2])
    kept = f"{declared.value if declared and declared.value else 'u64'} *found = {used[1]}; if (!found) return 0;"
    edited = preceded(line.replace(used[0], "*found", 1), kept)
    return "what lookup gives has to be tested before it is used", f"write {edited.strip()}", {said.line: edited}


def followed(found: Match, code: Code, said: Said) -> Answer:
    """Answer a struct that gets what lookup returns."""
    line = code.line(said.line)
    copied = re.match(r"(\s*)(struct\s+\w+)\s+(\w+)\s*=\s*(\*?)\s*(\w+\.lookup\w*\([^()]*\))\s*;(.*)", line)
    if copied is None:
        return None
    indent, kind, name, _, call, rest = copied.groups()
    right = f"{kind} *found = {call}; if (!found) return 0; {kind} {name} = *found;"
    what = f"lookup gives a pointer, and {name} is a struct: what is there has to be tested before it is copied"
    return what, f"write {right}", {said.line: f"{indent}{right}{rest}"}


def value_type(found: Match, code: Code, said: Said) -> Answer:
    """Answer a pointer of another size than the values of the map that it comes from."""
    line = code.line(said.line)
    parts = re.search(r"\b((?:struct\s+)?\w+)\s*\*\s*(\w+)\s*=\s*(?:\([^()]*\)\s*)?(\w+)\.lookup", line)
    declared = code.map_named(parts[3]) if parts else None
    if parts is None or declared is None or not declared.value:
        return None
    one, other = code.size_of(parts[1]), code.size_of(declared.value)
    if not one or not other or one == other:
        return None
    held = f"a value of {declared.name} has {other} ({declared.value})"
    what = f"{parts[2]} points to {one} bytes ({parts[1]}), and {held}"
    edited = line.replace(f"({parts[1]} *)", "").replace(parts[1], declared.value, 1)
    return what, f"write {declared.value} *{parts[2]}", {said.line: edited}


def pointer(found: Match, code: Code, said: Said) -> Answer:
    into, what = found[1], found[2]
    if "(" in what:
        called = re.search(r"=\s*(\w+)\s*;", code.line(said.line))
        name = called[1] if called else "the function"
        return f"{name} is named here, not called", f"write {name}()"
    if ".lookup" in code.line(said.line):
        name = re.search(r"(\w+)\s*=", code.line(said.line))
        mine = name[1] if name else "p"
        return (
            f"lookup gives a pointer, and {mine} is a number ({into})",
            f"write {into} *{mine} = …; if (!{mine}) return 0; and use *{mine}",
        )
    return None


def arguments(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    call = next((each for each in re.finditer(r"\b(\w+)\.(\w+)\s*\(", line) if code.map_named(each[1])), None)
    if call is None or call[2] not in _CALLS:
        return None
    given = [each for each in code.arguments(said.line, call[2]) if each]
    what = f"{call[1]}.{call[2]} has too {found[1]} arguments"
    if found[1] == "many" and call[2] in ("update", "insert", "delete", "lookup") and len(given) > 1:
        rest = given[: 1 if call[2] in ("delete", "lookup") else 2]
        wanted = "insert" if "BPF_NOEXIST" in given else call[2]
        flags, right = True, f"{call[1]}.{wanted}({', '.join(rest)})"
        if wanted == "insert":
            what += ": insert is the one that stores only new keys"
        edits = {said.line: re.sub(rf"{re.escape(call[0])}[^()]*\)", lambda _: right, line)}
        return what, f"write {right}", edits
    if call[2] == "push" and len(given) == 1 and found[1] == "few":
        right = f"{call[1]}.push(&{given[0].lstrip('& ')}, 0)"
        edits = {said.line: re.sub(rf"{re.escape(call[0])}[^()]*\)", lambda _: right, line)}
        return what, f"write {right}", edits
    flags = found[1] == "few" and call[2].startswith("ringbuf_") and _CALLS[call[2]].count(",") == len(given)
    right = f"{call[1]}.{call[2]}({', '.join([*given, '0'])})"
    if call[2] == "ringbuf_output" and len(given) == 2 and not given[1].startswith("sizeof"):
        right = f"{call[1]}.ringbuf_output({given[0]}, sizeof({given[0].lstrip('& ')}), 0)"
    if call[2] in ("pop", "peek") and not given:
        kept = re.match(r"(\s*)(\w+)\s*\*?\s*(\w+)\s*=\s*\w+\.\w+\(\s*\)\s*;", line)
        name = kept[3] if kept else "value"
        made = f"{kept[2] if kept else 'u64'} {name} = 0; if ({call[1]}.{call[2]}(&{name}) != 0) return 0;"
        return what, f"write {made} and use {name} itself: it gives 0 where it found one"
    if call[2] == "perf_submit" and len(given) == 2:
        flags, right = True, f"{call[1]}.perf_submit(args, {given[0]}, {given[1]})"
    elif call[2] == "call" and len(given) == 1:
        flags, right = True, f"{call[1]}.call(args, {given[0]})"
    edits = {said.line: re.sub(rf"{re.escape(call[0])}.*\)(?=\s*;)", lambda _: right, line)} if flags else {}
    return what, f"write {right}" if flags else f"write {call[1]}.{call[2]}{_CALLS[call[2]]}", edits
