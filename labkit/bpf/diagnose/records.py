# SPDX-License-Identifier: Apache-2.0
"""Records that are not what is meant: an array's name, a pointer's address, a pointer's size; and other small slips."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.bpf.diagnose.code import Code, number
from labkit.bpf.diagnose.events import field_type
from labkit.bpf.diagnose.finding import Finding
from labkit.bpf.diagnose.said import Answer, Match, Said

__all__ = ["certain", "not_reserved", "size_in_buffer", "size_of_pointer", "too_long", "warnings"]

_SENDS = re.compile(r"\b(\w+)\s*\.\s*(ringbuf_output|perf_submit|perf_submit_skb)\s*\(")
_DATA = {"ringbuf_output": 0, "perf_submit": 1, "perf_submit_skb": 2}


def certain(code: Code) -> Iterator[Finding]:
    """Yield a record that is named as an array: BCC 0.26 ends in an assertion, or reads at address 0."""
    for line, data, _, buffer in _sent(code):
        if data.isidentifier() and code.bytes_of(data):
            text = code.lines[line - 1]
            what = f"{data} is an array, and BCC wants the address of a record in {buffer}"
            edited = re.sub(rf"\b(\w+\s*\.\s*\w+\s*\((?:[^,()]*,)?\s*){data}\b", rf"\1&{data}", text, count=1)
            yield Finding(line, 0, what, f"write &{data}", edits={line: edited})
        elif data.isidentifier() and (declared := code.declared(data, line)) and code.size_of(declared[1]):
            edited = re.sub(
                rf"(\.\s*(?:{'|'.join(_DATA)})\s*\((?:[^,()]*,)?\s*){data}\b", rf"\1&{data}", code.line(line)
            )
            what = f"{buffer} takes the address of a record, and {data} is a number"
            yield Finding(line, 0, what, f"write &{data}", edits={line: edited})


def warnings(code: Code) -> Iterator[Finding]:
    """Yield what is accepted and sends, counts or tests something other than it says."""
    for line, data, size, _ in _sent(code):
        name = data.lstrip("& ")
        struct = _pointer(code, name, line)
        if struct and data.startswith("&"):
            what = f"{name} is a pointer already: &{name} sends the address, not the record"
            yield Finding(line, 0, what, f"pass {name} and sizeof(*{name})")
        elif struct and re.fullmatch(rf"sizeof\s*\(?\s*{re.escape(name)}\s*\)?", size):
            what = f"sizeof({name}) is the size of a pointer, 8 bytes, not of the record"
            yield Finding(line, 0, what, f"write sizeof(*{name})")
    yield from _several_types(code)
    yield from _sizes_of_pointers(code)
    yield from _sent_addresses(code)
    for found in re.finditer(r"\*\s*(\w+)\s*=\s*\w+\.ringbuf_reserve\s*\(\s*sizeof\s*\(\s*\1\s*\)\s*\)", code.bare):
        what = f"sizeof({found[1]}) is the size of a pointer, 8 bytes, not of the record"
        yield Finding(code.line_at(found.start()), 0, what, f"write sizeof(*{found[1]})")
    yield from _one_too_many(code)
    yield from _empty_test(code)
    yield from _thread_id(code)


def _sent(code: Code) -> Iterator[tuple[int, str, str, str]]:
    """Yield (line, the record as it is written, its size as it is written, the buffer) of each call."""
    for found in _SENDS.finditer(code.bare):
        line, at = code.line_at(found.start()), _DATA[found[2]]
        given = code.arguments(line, found[2])
        if at + 1 < len(given) and code.map_named(found[1]):
            yield line, given[at], given[at + 1], found[1]


def _several_types(code: Code) -> Iterator[Finding]:
    """Yield the buffers that get records of several types: their sizes tell them apart, or nothing does."""
    kinds: dict[str, dict[str, int]] = {}
    for line, data, _, buffer in _sent(code):
        if struct := _struct(code, data.lstrip("& "), line):
            kinds.setdefault(buffer, {}).setdefault(struct, line)
    for found in re.finditer(r"\b(\w+)\.ringbuf_reserve\s*\(\s*sizeof\s*\(?\s*(struct\s+|\*\s*)(\w+)", code.bare):
        line = code.line_at(found.start())
        struct = found[3] if found[2].startswith("struct") else _struct(code, found[3], line)
        if struct:
            kinds.setdefault(found[1], {}).setdefault(struct, line)
    for buffer, structs in kinds.items():
        declared = code.map_named(buffer)
        if len(structs) < 2 or declared is None:
            continue
        names = list(structs)
        what = f"{buffer} gets records of {len(structs)} types ({', '.join(f'struct {one}' for one in names)})"
        is_ring = declared.macro == "BPF_RINGBUF_OUTPUT"
        sizes = [code.size_of(f"struct {name}") for name in names]
        came = {size_in_buffer(size, is_ring) for size in sizes if size is not None}
        if len(came) == len(sizes):
            reads = " and ".join(f'NAME.events("{buffer}", of="{one}")' for one in names)
            yield Finding(
                structs[names[1]], 0, f"{what}, which their sizes tell apart", f"read each by itself: {reads}"
            )
            continue
        other = f"{names[1]}_{buffer}"
        other = f"BPF_RINGBUF_OUTPUT({other}, 8);" if is_ring else f"BPF_PERF_OUTPUT({other});"
        fix = f"their rows cannot be told apart: declare one buffer for each, such as {other} and use it in this line"
        yield Finding(structs[names[1]], 0, what, fix)


def size_in_buffer(size: int, is_ring: bool) -> int:
    """Return the size of a record as the buffer gives it back: a perf buffer makes it longer, so that 8 divides."""
    return size if is_ring else -(-(size + 4) // 8) * 8 - 4


def _sent_addresses(code: Code) -> Iterator[Finding]:
    """Yield the address of a text in a record that is sent: who reads the record has no text there."""
    for line, data, _, buffer in _sent(code):
        name = data.lstrip("& ")
        body = re.search(rf"\bstruct\s+{_struct(code, name, line) or '-'}\s*\{{([^{{}}]*)\}}", code.bare)
        for member in re.findall(r"\bchar\s*\*\s*(\w+)\s*;", body[1]) if body else ():
            pattern = rf"\b{name}(?:\.|->){member}\s*=\s*(?:\([^()]*\)\s*)?(args->\w+)\s*;"
            put = list(re.finditer(pattern, code.above(line)))
            if put:
                what = f"{member} is the address of a text of the process, and {buffer} gets the address, not the text"
                read = f"bpf_probe_read_user_str({name}.{member}, sizeof({name}.{member}), {put[-1][1]})"
                fix = f"declare char {member}[64]; in the struct, and write {read}"
                yield Finding(code.line_at(put[-1].start()), 0, what, fix)


def _sizes_of_pointers(code: Code) -> Iterator[Finding]:
    """Yield sizeof of an address, and of a field of the record that is an address."""
    for found in re.finditer(r"\bsizeof\s*\(\s*&\s*([\w.>-]+)\s*\)", code.bare):
        what = f"sizeof(&{found[1]}) is the size of an address, 8 bytes, not of {found[1]}"
        yield Finding(code.line_at(found.start()), 0, what, f"write sizeof({found[1]})")
    size = r"(sizeof\s*\(\s*args->(\w+)\s*\))"
    read = rf"\b(bpf_probe_read\w*)\s*\(\s*&?\s*([\w.>-]+)\s*,\s*{size}\s*,\s*(?:\([^()]*\)\s*)?args->"
    for found in re.finditer(read, code.bare):
        line, probe = code.line_at(found.start()), code.probe_at(code.line_at(found.start()))
        if probe and field_type(probe.category, probe.event, found[4]).endswith("*"):
            what = f"args->{found[4]} is an address: its size is 8 bytes, and no more are copied"
            yield Finding(line, 0, what, f"write sizeof({found[2]})")


def size_of_pointer(found: Match, code: Code, said: Said) -> Answer:
    """Answer memset and memcpy with the size of a pointer."""
    line = code.line(said.line)
    size = re.search(r"\bsizeof\s*\(?\s*(\w+)\b\s*\)?", line)
    if size is None:
        return None
    right = f"sizeof(*{size[1]})"
    what = f"sizeof({size[1]}) is the size of a pointer, 8 bytes, not of what it points to"
    return what, f"write {right}", {said.line: line.replace(size[0], right)}


def _struct(code: Code, name: str, line: int) -> str:
    """Return the struct of a variable, or of what it points to; empty for another variable."""
    found = re.findall(rf"\bstruct\s+(\w+)\s+\**\s*{re.escape(name)}\b", code.above(line))
    return found[-1] if found else ""


def _pointer(code: Code, name: str, line: int) -> str:
    """Return the struct that a variable points to, empty for another variable."""
    above = code.above(line)
    pattern = rf"\bstruct\s+(\w+)\s*(?:\w+(?:\s*=\s*[^;]*?)?,\s*)?\*\s*{re.escape(name)}\b"
    found = list(re.finditer(pattern, above))
    itself = [each.start() for each in re.finditer(rf"\bstruct\s+\w+\s+{re.escape(name)}\b", above)]
    return found[-1][1] if found and found[-1].start() > max(itself, default=-1) else ""


def _one_too_many(code: Code) -> Iterator[Finding]:
    """Yield a loop whose last round is behind the end of the array that it fills or reads."""
    loop = re.compile(r"\bfor\s*\(\s*(?:\w+\s+)?(\w+)\s*=\s*0\s*;\s*\1\s*<=\s*([\w]+)\s*;[^)]*\)\s*\{?([^}]*?[;}])")
    for found in loop.finditer(code.bare):
        last = code.constant(found[2])
        for array in dict.fromkeys(re.findall(rf"\b(\w+)\s*\[\s*{found[1]}\s*\]", found[3])):
            has = re.search(rf"\b{array}\s*\[\s*(\w+)\s*\]\s*[;=,]", code.bare)
            count = code.constant(has[1]) if has else None
            if last is not None and count == last:
                line = code.line_at(found.start())
                what = f"{found[1]} reaches {last}, and the last element of {array}[{count}] is {count - 1}"
                yield Finding(line, 0, what, f"write {found[1]} < {found[2]}")


def _empty_test(code: Code) -> Iterator[Finding]:
    for found in re.finditer(r"\bif\s*\((?:[^()]|\([^()]*\))*\)\s*;", code.bare):
        yield Finding(
            code.line_at(found.end() - 1), 0, "the ; ends the if: what follows runs always", "take the ; away"
        )


def _thread_id(code: Code) -> Iterator[Finding]:
    found = code.find(
        r"\b(?:u32|int|pid_t)\s+(pid|tgid)\s*=\s*(?:\([\w ]+\)\s*)?bpf_get_current_pid_tgid\s*\(\s*\)\s*;"
    )
    used = re.findall(rf"(?:\.\s*(\w+)\s*\(\s*&\s*)?\b{found[1][1]}\b", code.bare) if found else []
    set_at = re.findall(rf"\b{found[1][1]}\s*=(?!=)", code.bare) if found else []
    is_of_a_pair = {each for each in used if each} >= {"update", "lookup"} and used.count("") == len(set_at)
    if found and not is_of_a_pair:  # a map by thread that one probe fills and another one looks up
        what = f"{found[1][1]} gets the lower 32 bits, which are the thread's id, not the process's"
        yield Finding(found[0], 0, what, "for the process write bpf_get_current_pid_tgid() >> 32")


def too_long(code: Code, line: int, said: str) -> Finding | None:
    """Return a record that is sent with more bytes than it has."""
    for at, data, size, buffer in _sent(code):
        name = data.lstrip("& ")
        kinds = re.findall(rf"\b(struct\s+\w+)\s+{re.escape(name)}\b", code.above(at))
        has, sent = code.size_of(kinds[-1]) if kinds else None, number(size)
        if at == line and has and sent and sent > has:
            text = code.lines[at - 1]
            right = f"sizeof({name})"
            edits = {at: text.replace(f" {size}", f" {right}", 1)} if text.count(f" {size}") == 1 else {}
            return Finding(
                at, 0, f"{buffer} gets {sent} bytes of {name}, which has {has}", f"write {right}", edits=edits
            )
    return None


def not_reserved(code: Code, line: int, said: str) -> Finding | None:
    """Return a submit of a variable that was not reserved."""
    text = code.line(line)
    call = re.search(r"(\w+)\.ringbuf_(?:submit|discard)\s*\(\s*&\s*(\w+)[^()]*\)", text)
    if call is None:
        return None
    right = f"{call[1]}.ringbuf_output(&{call[2]}, sizeof({call[2]}), 0)"
    what = f"{call[2]} is a variable: only a record that ringbuf_reserve gave can be submitted"
    return Finding(line, 0, what, f"write {right}", edits={line: text.replace(call[0], right)})
