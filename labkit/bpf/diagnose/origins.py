# SPDX-License-Identifier: Apache-2.0
"""Where a value comes from that the verifier refused: the line that set it, and why it is not what it looks like."""

from __future__ import annotations

import re

from labkit.bpf.diagnose.code import Code, preceded, put_before
from labkit.bpf.diagnose.events import field_type
from labkit.bpf.diagnose.finding import Finding
from labkit.bpf.diagnose.habits import replaced_call

__all__ = ["A_NUMBER", "literal_left_behind", "number_as_address", "unlimited_loop"]

A_NUMBER = r"R\d+ invalid mem access '(?:scalar|inv)'|R\d+ type=(?:scalar|inv)"
_LETTERS = 8  # that a comparison is spelled out for
_FOLLOWED = 500  # rounds of a small loop that the verifier can follow
_ROUNDS = 16  # of a loop that had no limit


def number_as_address(code: Code, line: int, said: str) -> Finding | None:
    """Return where an address came from that is a number for the verifier."""
    checks = (_initial_values, _copied_directly, _of_the_record, _struct_of_the_record, _of_a_copy)
    return next((found for check in checks if (found := check(code, line))), None)


def _copied_directly(code: Code, line: int) -> Finding | None:
    """memcpy from an address of the process, which only a helper can read."""
    text, probe = code.line(line), code.probe_at(line)
    call = re.search(r"\b(?:__builtin_)?memcpy\s*\(", text)
    given = code.arguments(line, call[0].rstrip("( ")) if call else []
    field = re.match(r"(?:\([^()]*\)\s*)?args->(\w+)$", given[1]) if len(given) == 3 else None
    if call is None or field is None or probe is None or probe.category != "syscalls":
        return None
    right = f"bpf_probe_read_user({given[0]}, {given[2]}, {given[1]})"
    what = f"args->{field[1]} is an address of the process: the kernel's program cannot copy from it directly"
    edits = replaced_call(code, line, call[0].rstrip("( "), right)
    return Finding(line, call.start() + 1, what, f"write {right}", edits=edits)


def _initial_values(code: Code, line: int) -> Finding | None:
    """An array of a function with its values in { }: clang keeps them in a table, which BCC leaves behind."""
    text = code.line(line)
    for found in re.finditer(r"(?m)^([ \t]+)((?:const )?\w+)\s+(\w+)\s*\[(\w*)\]\s*=\s*\{([^{}]*)\}\s*;", code.bare):
        at, name = code.line_at(found.start(2)), found[3]
        values = [each.strip() for each in found[5].split(",") if each.strip()]
        if at > line or not values or not re.search(rf"\b{name}\b", text) or set(values) <= {"0"}:
            continue
        kind, count = found[2].removeprefix("const "), found[4] or str(len(values))
        stores = " ".join(f"{name}[{index}] = {value};" for index, value in enumerate(values))
        edited = f"{found[1]}{kind} {name}[{count}]; {stores}"
        what = f"clang keeps the values of {name} (line {at}) in a table, which BCC leaves behind"
        edits = {at: edited} if "\n" not in found[0] else {}
        return Finding(line, 0, what, f"set them one by one in line {at}: {edited.strip()}", edits=edits)
    return None


def _of_the_record(code: Code, line: int) -> Finding | None:
    """A field of a system call's record holds an address of the process; its letters are read directly."""
    probe, text = code.probe_at(line), code.line(line)
    if probe is None or probe.category != "syscalls":
        return None
    for found in re.finditer(r"(args->)?\b(\w+)\s*\[\s*(\w+)\s*\]|\*\s*(args->)?(\w+)\b(?!\s*[(\[])", text):
        name, index = found[2] or found[5], found[3] or "0"
        is_field = bool(found[1] or found[4])
        set_at = None if is_field else _set_from_record(code, line, name)
        field = name if is_field else set_at[1] if set_at else ""
        kind = field_type(probe.category, probe.event, field)
        if not field or not re.fullmatch(r"(?:const\s+)?char\s*\*", kind):
            continue
        whole = f"args->{name}" if is_field else name
        came = "" if is_field or set_at is None else f" (it comes from args->{field}, line {set_at[0]})"
        copy = f"char letter = 0; bpf_probe_read_user(&letter, sizeof(letter), &{whole}[{index}]);"
        edited = put_before(f"{text[: found.start()]}letter{text[found.end() :]}", copy)
        what = f"{whole} is an address of the process{came}: the kernel's program cannot read through it"
        return Finding(line, found.start() + 1, what, f"copy the letter first: {copy}", edits={line: edited})
    return None


def _struct_of_the_record(code: Code, line: int) -> Finding | None:
    """A field of a system call's record is the address of a struct of the process; its members are read directly."""
    probe, text = code.probe_at(line), code.line(line)
    found = re.search(r"(args->(\w+))\s*(?:\[\s*(\w+)\s*\]\s*\.|->)\s*(?=\w)", text)
    if found is None or probe is None or probe.category != "syscalls":
        return None
    kind = re.match(r"(?:const\s+)?(struct\s+\w+)\s*\*$", field_type(probe.category, probe.event, found[2]))
    what = f"{found[1]} is an address of the process: the kernel's program cannot read through it"
    if kind is None:
        return None
    copy = f"{kind[1]} copy = {{}}; bpf_probe_read_user(&copy, sizeof(copy), "
    copy += f"&{found[1]}[{found[3]}]);" if found[3] else f"{found[1]});"
    edited = preceded(f"{text[: found.start()]}copy.{text[found.end() :]}", copy)
    return Finding(line, found.start() + 1, what, f"copy the struct first: {copy}", edits={line: edited})


def _set_from_record(code: Code, line: int, name: str) -> tuple[int, str] | None:
    for at in range(line, 0, -1):
        if found := re.search(rf"\b{name}\s*=\s*(?:\([^)]*\)\s*)?args->(\w+)\s*;", code.lines[at - 1]):
            return at, found[1]
    return None


def _of_a_copy(code: Code, line: int) -> Finding | None:
    """A pointer that was copied, or kept in a map, is a number; its fields are read directly."""
    text = code.line(line)
    for found in re.finditer(r"\b(\w+)\s*->\s*(\w+)", text):
        name, field = found.groups()
        for at in range(line - 1, 0, -1):
            above = code.lines[at - 1]
            copied = re.search(rf"\b(bpf_probe_read\w*)\s*\(\s*&\s*{name}\b", above)
            kept = re.search(rf"\b{name}\s*=\s*(?:\([^)]*\)\s*)?(\*\s*\w+|args->\w+|\w+)\s*;", above)
            if not copied and not kept:
                continue
            helper = copied[1].removesuffix("_str") if copied else "bpf_probe_read_kernel"
            probe = code.probe_at(line)
            of_process = kept is not None and kept[1].startswith("args->") and probe and probe.category == "syscalls"
            helper = "bpf_probe_read_user" if of_process else helper
            hint = "" if copied or of_process else " (bpf_probe_read_user for an address of the process)"
            origin = f"{copied[1]} copied it" if copied else f"it is {kept[1]}" if kept else ""
            what = f"{name} is a plain number for the verifier ({origin}, line {at}): nothing can be read through it"
            fix = f"copy the field into a variable: {helper}(&copy, sizeof(copy), &{name}->{field}){hint}"
            return Finding(line, found.start() + 1, what, fix)
    return None


def literal_left_behind(code: Code, line: int, said: str) -> Finding | None:
    """Return the text in quotation marks that a helper gets: BCC leaves it out of the program."""
    found = re.search(r"\b(\w+)\s*\([^()\"]*(\"(?:\\.|[^\"\\])*\")", code.line(line))
    if found is None or found[1] == "bpf_trace_printk":
        return None
    what = f"{found[1]} gets the text {found[2]}, which BCC leaves out of the program"
    if "cmp" in found[1]:
        text, first = found[2][1:-1], (code.arguments(line, found[1]) or ["text"])[0].lstrip("&")
        letters = " && ".join(f"{first}[{at}] == '{letter}'" for at, letter in enumerate(text[:_LETTERS]))
        return Finding(line, 0, what, f"compare letter by letter: if ({letters})")
    return Finding(line, 0, what, f"make it a variable in the function: char word[] = {found[2]};")


def unlimited_loop(code: Code, line: int, said: str) -> Finding | None:
    """Return the loop that nothing constant limits, with a limit as the fix."""
    for at in range(line, 0, -1):
        text = code.lines[at - 1]
        if re.match(r"[^\s}#/].*\)\s*\{?\s*$|\w.*\{\s*$", text):  # the function begins
            return _until_at_its_end(code, at)
        loop = re.search(r"\bfor\s*\(([^;]*);([^;]*);(.*)\)|\bwhile\s*\((.*)\)", text)
        if loop is None:
            continue
        condition = (loop[2] if loop[4] is None else loop[4]).strip()
        if re.search(r"[<>]=?\s*(?:\d|[A-Z_]+\b|sizeof)|(?:\d|[A-Z_]+)\s*[<>]", condition):
            return _counter_given_away(code, at, line, text) or _many_rounds(code, at, text)
        if loop[4] is None:
            counter = re.search(r"(\w+)\s*=", loop[1])
            if counter is None:
                return None
            both = f"{counter[1]} < {_ROUNDS}" + (f" && {condition}" if condition else "")
            limited = f"for ({loop[1]}; {both};{loop[3]})"
        else:
            both = f"turn < {_ROUNDS}" + ("" if condition in ("1", "true") else f" && ({condition})")
            limited = f"for (int turn = 0; {both}; turn++)"
        what = "no constant limits this loop, so the verifier has to follow it forever"
        edits = {at: text[: loop.start()] + limited + text[loop.end() :]}
        return Finding(at, loop.start() + 1, what, f"limit it, to {_ROUNDS} rounds for example: {limited}", edits=edits)
    return None


def _until_at_its_end(code: Code, first: int) -> Finding | None:
    """A loop of do and while of the function that begins in a line: its limit is put where it begins."""
    last = code.function_at(first)[2]
    begins = [at for at in range(first, last) if re.match(r"\s*do\s*\{\s*$", code.line(at))]
    ends = [
        (at, end) for at in range(first, last) if (end := re.match(r"(\s*)\}\s*while\s*\((.*)\)\s*;", code.line(at)))
    ]
    if len(begins) != 1 or len(ends) != 1:
        return None
    at, (until, end) = begins[0], ends[0]
    limited = f"for (int turn = 0; turn < {_ROUNDS}; turn++) {{"
    edits = {at: code.line(at).replace("do {", limited), until: f"{end[1]}    if (!({end[2]})) break; }}"}
    what = "no constant limits this loop, so the verifier has to follow it forever"
    fix = f"limit it, to {_ROUNDS} rounds for example: {limited} … if (!({end[2]})) break; }}"
    return Finding(at, 0, what, fix, edits=edits)


def _counter_given_away(code: Code, at: int, line: int, text: str) -> Finding | None:
    """A function gets the address of the loop's counter: then the verifier does not know its value any more."""
    counter = re.search(r"\bfor\s*\([^;]*?\b(\w+)\s*=", text)
    for within in range(at + 1, len(code.lines) + 1):
        inside = code.lines[within - 1]
        if inside.startswith("}") or counter is None:
            return None
        if re.search(rf"&{counter[1]}\b", inside):
            edited = put_before(re.sub(rf"&{counter[1]}\b", "&copy", inside), f"u32 copy = {counter[1]};")
            what = f"line {within} passes on the address of the counter {counter[1]}: the verifier loses its value"
            return Finding(at, 0, what, f"pass the address of a copy: u32 copy = {counter[1]};", edits={within: edited})
    return None


def _many_rounds(code: Code, at: int, text: str) -> Finding | None:
    """A constant limit that is too high to be followed round by round."""
    limit = re.search(r"\bfor\s*\([^;]*;[^;]*?<=?\s*(\w+)\s*;", text)
    rounds = code.constant(limit[1]) if limit else None
    if limit is None or rounds is None or rounds <= _FOLLOWED:
        return None
    edited = f"{text[: limit.start(1)]}{_FOLLOWED}{text[limit.end(1) :]}"
    what = f"this loop has {rounds:,} rounds, and the verifier follows each of them"
    return Finding(at, 0, what, f"lower its limit, to {_FOLLOWED} for example", edits={at: edited})
