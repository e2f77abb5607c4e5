# SPDX-License-Identifier: Apache-2.0
"""Buffers that are smaller than what a helper writes into them, and keys that are addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.finding import Finding

__all__ = ["address_keys", "padded_keys", "short_buffers", "unset_members"]

_FILL = re.compile(r"\b(bpf_get_current_comm|bpf_probe_read(?:_user|_kernel)?(?:_str)?|(?:__builtin_)?memcpy)\s*\(")
_NAME_BYTES = 16  # TASK_COMM_LEN


def short_buffers(code: Code) -> Iterator[Finding]:
    """Yield the calls that write more bytes than the variable has, or cut a task's name."""
    for found in _FILL.finditer(code.bare):
        line, helper = code.line_at(found.start()), found[1]
        given = code.arguments(line, helper)
        to = re.fullmatch(r"&?\s*(?:\w+(?:\.|->))*(\w+)", given[0]) if len(given) >= 2 else None
        if to is None:
            continue
        is_copy = helper.endswith("memcpy")
        size = given[2] if is_copy and len(given) > 2 else given[1]
        name, written = to[1], code.constant(size)
        declared = code.declared(name, line) if given[0].startswith("&") else None
        has = code.bytes_of(name) or (code.size_of(declared[1]) if declared else None)
        if (
            not has
            or not written
            or re.fullmatch(rf"sizeof\s*\(\s*\*?\s*{re.escape(given[0].lstrip('& '))}\s*\)", size)
        ):
            continue
        is_name = helper == "bpf_get_current_comm"
        at = code.find(rf"\b{name}\s*\[[^\]]*\]\s*[;=,]")
        edits = {}
        if is_name and at and has < _NAME_BYTES:
            text = code.lines[at[0] - 1]
            edits = {at[0]: re.sub(rf"\b({name}\s*\[)[^\]]*\]", rf"\g<1>{_NAME_BYTES}]", text, count=1)}
            fix = f"give it {_NAME_BYTES} bytes (line {at[0]}): {name}[{_NAME_BYTES}]"
        else:
            right = f"sizeof({given[0].lstrip('& ')})"
            text = code.lines[line - 1]
            begin = text.rfind(size) if is_copy else text.find(size)
            alone = is_copy or text.count(size) == 1
            edits = {line: text[:begin] + right + text[begin + len(size) :]} if alone and begin >= 0 else {}
            fix = f"pass its own size: {right}"
        if written > has:
            where = f" (line {at[0]})" if at else ""
            what = f"{helper} writes {written} bytes into {name}, which has {has}{where}"
            yield Finding(line, 0, f"{what}: what lies behind it is overwritten", fix, edits=edits)
        elif is_name and has < _NAME_BYTES:
            what = f"{name} has {has} bytes, and the name of a task up to {_NAME_BYTES}: longer names are cut"
            yield Finding(line, 0, what, fix, edits=edits)


def padded_keys(code: Code) -> Iterator[Finding]:
    """Yield the keys with gaps between their members that nothing clears."""
    for each in code.maps:
        kind = re.fullmatch(r"struct\s+(\w+)|(\w+_t)", each.key)
        gap = code.padding(each.key) if kind else 0
        for found in re.finditer(rf"\b{re.escape(each.key)}\s+(\w+)\s*;", code.bare) if gap else ():
            line, name = code.line_at(found.start()), found[1]
            inside = code.bare.rfind("{", 0, found.start()) > code.bare.rfind("}", 0, found.start())
            used = re.search(rf"\b{each.name}\s*\.\s*\w+\s*\(\s*&?{name}\b", code.bare[found.end() :])
            cleared = re.search(rf"memset\s*\(\s*&{name}\b", code.bare[found.end() :])
            if inside and used and not cleared:
                text = code.lines[line - 1]
                what = f"the key {name} has {gap} bytes of padding that hold whatever was on the stack"
                fix = f"clear it where it is declared: {each.key} {name} = {{}};"
                edits = {line: re.sub(rf"\b({name})\s*;", r"\1 = {};", text, count=1)}
                yield Finding(line, 0, f"{what}: equal keys may get several entries", fix, edits=edits)


def unset_members(code: Code) -> Iterator[Finding]:
    """Yield the keys and records of which a member is never set: the stack's bytes are sent, or make other keys."""
    for found in re.finditer(r"^([ \t]+)(struct\s+(\w+))\s+(\w+)\s*;", code.bare, re.MULTILINE):
        line, kind, name = code.line_at(found.start(2)), found[3], found[4]
        body = re.search(rf"\bstruct\s+{kind}\s*\{{([^{{}}]*)\}}", code.bare)
        rest = code.bare[found.end() :].partition("\n}")[0]
        sent = re.search(
            rf"\.\s*(?:increment|update|insert|lookup\w*|ringbuf_output|perf_submit)\s*\([^;]*\b{name}\b", rest
        )
        whole = re.search(rf"\b\w+\s*\([^;.]*&\s*{name}\s*[,)]|\b{name}\s*=[^=]", rest[: sent.start()] if sent else "")
        inside = code.bare.rfind("{", 0, found.start()) > code.bare.rfind("}", 0, found.start())
        if body is None or sent is None or whole or not inside:
            continue
        members = re.findall(r"(\w+)\s*(?:\[[^\]]*\])*\s*(?::\s*\d+\s*)?[;,]", body[1])
        unset = [each for each in members if not re.search(rf"\b{name}\.{each}\b", rest)]
        if unset and len(unset) < len(members):
            right = re.sub(rf"\b({name})\s*;", r"\1 = {};", code.lines[line - 1], count=1)
            what = f"{name}.{unset[0]} is never set: it holds whatever was on the stack"
            yield Finding(line, 0, what, f"clear it where it is declared: {right.strip()}", edits={line: right})


def address_keys(code: Code) -> Iterator[Finding]:
    """Yield the maps whose key is the address of a text, not the text."""
    for each in code.maps:
        if re.fullmatch(r"(?:const\s+)?(?:unsigned\s+)?char\s*(?:const\s*)?\*", each.key):
            yield Finding(
                each.line,
                0,
                f"the key of {each.name} is an address, not the text there: equal texts get several entries",
                "use the text as the key: struct name { char text[32]; }; filled by bpf_probe_read_user_str()",
            )
