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
