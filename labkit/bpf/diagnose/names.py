# SPDX-License-Identifier: Apache-2.0
"""Names that the kernel's headers would declare, and words of other languages; each with the same in BCC's C."""

from __future__ import annotations

import re

from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.events import fields, near
from labkit.bpf.structures import constants_of_headers

__all__ = ["constant_of_header", "declaration", "errno", "nearest_constant", "of_record", "short", "stacks_of_bpftrace"]

Told = tuple[str, str, dict[int, str]] | None

# the header to include, by the name's beginning: the one that defines it cannot be included by itself
_HEADERS = (
    (r"E[A-Z]+\d*", "linux/errno.h"),
    (r"SIG[A-Z]+\d?", "uapi/linux/signal.h"),
    (r"O_[A-Z]+|AT_[A-Z_]+", "uapi/linux/fcntl.h"),
    (r"(?:AF|PF|SOL)_[A-Z0-9]+", "linux/socket.h"),
    (r"(?:PROT|MAP)_[A-Z_0-9]+", "uapi/linux/mman.h"),
)
# of Rust, Go and JavaScript: a type -> C's
_TYPES = {"i8": "s8", "i16": "s16", "i32": "s32", "i64": "s64", "usize": "u64", "isize": "s64", "f64": "u64"}


def constant_of_header(name: str, code: Code) -> Told:
    """Return the answer to a constant that a header of the kernel defines."""
    known = constants_of_headers()
    header = next((header for pattern, header in _HEADERS if re.fullmatch(pattern, name)), known.get(name, ""))
    if name not in known or not header.startswith(("uapi/linux/", "linux/")):
        return None
    what = f"{name} is a constant of a header that is not included"
    return what, f"add #include <{header}>", code.including(f"<{header}>")


def short(code: Code) -> set[str]:
    """Return the names of one or two letters that are declared."""
    return set(re.findall(r"\b(?:[us]\d+|int|long|char)\s+(\w{1,2})\b", code.bare))


def of_record(name: str, code: Code, line: int) -> Told:
    """Return the answer to a field of the probe's record that is written without args->, and to an enum's name."""
    text, probe = code.line(line), code.probe_at(line)
    if enum := re.search(rf"\b{name}\s*(?:\.|::|->)\s*(\w+)", text):
        if re.search(rf"\benum\s+{name}\s*\{{[^}}]*\b{enum[1]}\b", code.bare):
            what = f"{name} is an enum, whose names are used by themselves"
            return what, f"write {enum[1]}", {line: text.replace(enum[0], enum[1])}
    if probe and probe.kind == "KRETFUNC_PROBE" and name == "ret":
        head = code.line(probe.line)
        edits = {probe.line: head.replace(")", ", long ret)", 1)} if head.count(")") == 1 else {}
        return "the result is the last argument of a KRETFUNC_PROBE", "add long ret to its arguments", edits
    if re.search(rf"\b{name}\s*\.\s*\w+\s*\(", text):  # a map's method: its name is misspelt
        return None
    if probe and probe.kind == "TRACEPOINT_PROBE" and name in fields(probe.category, probe.event):
        edited = re.sub(rf"(?<![\w.>]){name}\b", f"args->{name}", text, count=1)
        return f"{name} is a field of the record, which is called args", f"write args->{name}", {line: edited}
    return None


def nearest_constant(name: str) -> str:
    """Return the constant of the headers that is spelled most like a name, with the same first word."""
    family = name[: name.find("_", 5) + 1] if name.find("_", 5) > 0 else name[:3]
    return near(name, [each for each in constants_of_headers() if each.startswith(family)], 0.75)


def errno(code: Code, line: int) -> Told:
    """Return the answer to errno."""
    probe = code.probe_at(line)
    what = "the kernel has no errno: a system call returns the error itself, as a negative number"
    if probe is None or not probe.event.startswith("sys_exit_"):
        return what, "read it where the call ends: in sys_exit_…, -args->ret is the error", {}
    edited = re.sub(r"(?<![\w.>])errno\b", "-args->ret", code.line(line))
    edits = {line: edited}
    for at in range(line, probe.line, -1):  # -1 is what the C library returns
        if re.search(r"args->ret\s*==\s*-1\b", code.line(at)):
            edits[at] = re.sub(r"args->ret\s*==\s*-1\b", "args->ret < 0", edited if at == line else code.line(at))
    hint = "write -args->ret" + ("; and the test of -1 is args->ret < 0" if len(edits) > 1 else "")
    return what, hint, edits


def declaration(line: str, number: int) -> Told:
    """Return the answer to a variable that is declared as Rust, Go, JavaScript or Python declare it."""
    found = re.match(
        r"(\s*)(?:let\s+(?:mut\s+)?|var\s+|const\s+|auto\s+)?(\w+)\s*(?::\s*(\w+)|\s(\w+))?\s*(:?=)\s*([^;=]+);?\s*$",
        line,
    )
    if found is None or not (re.match(r"\s*(?:let|var)\b", line) or found[5] == ":=" or found[3]):
        return None
    kind = found[3] or found[4] or "u64"
    right = f"{_TYPES.get(kind, kind)} {found[2]} = {found[6].strip()};"
    return "C declares a variable by its type and its name", f"write {right}", {number: f"{found[1]}{right}"}


def stacks_of_bpftrace(name: str) -> tuple[str, str]:
    flags = "BPF_F_USER_STACK" if name == "ustack" else "0"
    what = f"{name} is a name of bpftrace; in BCC a map keeps the stacks"
    return what, f"declare BPF_STACK_TRACE(stacks, 1024); and write int id = stacks.get_stackid(args, {flags});"
