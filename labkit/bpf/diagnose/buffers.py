# SPDX-License-Identifier: Apache-2.0
"""Buffers that are smaller than what a helper writes into them, and keys that are addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.finding import Finding

__all__ = ["address_keys", "padded_keys", "short_buffers"]

_FILL = re.compile(r"\b(bpf_get_current_comm|bpf_probe_read(?:_user|_kernel)?(?:_str)?)\s*\(")
_NAME_BYTES = 16  # TASK_COMM_LEN


def short_buffers(code: Code) -> Iterator[Finding]:
    """Yield the calls that write more bytes than the variable has, or cut a task's name."""
    for found in _FILL.finditer(code.bare):
        line, helper = code.line_at(found.start()), found[1]
        given = code.arguments(line, helper)
        to = re.fullmatch(r"&?\s*(?:\w+(?:\.|->))*(\w+)", given[0]) if len(given) >= 2 else None
        if to is None:
            continue
        name, written = to[1], code.constant(given[1])
        declared = code.declared(name, line) if given[0].startswith("&") else None
        has = code.bytes_of(name) or (code.size_of(declared[1]) if declared else None)
        if not has or not written:
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
            edits = {line: text.replace(given[1], right, 1)} if text.count(given[1]) == 1 else {}
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
