# SPDX-License-Identifier: Apache-2.0
"""The changes of a refused program that are worth a try."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from labkit.bpf.diagnose.code import Code, number, put_before
from labkit.bpf.verifier.bounds import limits
from labkit.bpf.verifier.repair import Repair

__all__ = ["repairs"]

_MAY_BE_NULL = r"\b(?:lookup|lookup_or_try_init|lookup_or_init|ringbuf_reserve)\s*\("
_MOST = 2  # repairs that are tried


def repairs(code: Code, kind: str, line: int | None, said: str, helper: str) -> list[Repair]:
    """Return the repairs worth a try, the best first.

    Parameters
    ----------
    kind, line, said : of the verdict.
    helper : the function whose call was refused, empty if none.
    """
    if line is None or not 1 <= line <= len(code.lines):
        return []
    return [_left(code, line, each) for each in _of_kind(code, kind, line, said, helper)]


def _left(code: Code, line: int, repair: Repair) -> Repair:
    """Return a repair that leaves the program with what the program itself returns at its end."""
    right = f"return {code.leaving(line)};"
    if right == "return 0;" or "return 0;" not in repair.fix:
        return repair
    edits = {at: text.replace("return 0;", right) for at, text in repair.edits.items()}
    return replace(repair, fix=repair.fix.replace("return 0;", right), edits=edits)


def _of_kind(code: Code, kind: str, line: int, said: str, helper: str) -> list[Repair]:
    if kind == "licence":
        return list(_licence(code))
    if kind == "null":
        return list(_tests(code, line))[:_MOST]
    if kind == "reference" and "Unreleased" in said:
        return list(_given_back(code, line))[:_MOST]
    if helper.startswith("bpf_probe_read") and re.match(r"R\d type=", said):
        return list(_in_order(code, line, helper))
    if kind == "reference":
        return list(_given_back_later(code, line))
    if kind in ("stack", "bounds") and (limited := _limited_loop(code, line)):
        return [limited]
    if kind == "packet":
        return list(_inside_packet(code, line, said))
    if kind in ("bounds", "stack", "arithmetic") or "bitwise operator |=" in said:
        return list(limits(code, line, said, helper))[: 3 * _MOST]
    return []


def _tests(code: Code, line: int) -> Iterator[Repair]:
    """Yield a test of each pointer that the line uses, behind the statement that sets it."""
    through = [name for name, (_, body) in code.functions.items() if re.search(_MAY_BE_NULL, body)]
    may_be_null = rf"(?:{'|'.join([_MAY_BE_NULL, *(rf'{name}{chr(92)}s*{chr(92)}(' for name in through)])})"
    for name in dict.fromkeys(re.findall(r"[^\W\d]\w*", code.lines[line - 1])):
        for at in range(line, 0, -1):
            text = code.lines[at - 1]
            found = re.search(rf"(?<!\w){name}\s*=[^;=]*?{may_be_null}[^;]*;", text)
            if found is None or text.lstrip().startswith("if"):
                continue
            if moved := _moved_test(code, line, name):
                yield moved
            if within := _within_test(code, line, name):
                yield within
            test = f"if (!{name}) return 0;"
            if at == line and not re.search(rf"(?<!\w){name}(?!\w)", text[found.end() :]):
                break
            yield Repair(
                "",
                f"test {name} after line {at}: {test}" if at < line else f"test {name} in this line: {test}",
                {at: f"{text[: found.end()]} {test}{text[found.end() :]}"},
            )
            if copied := _with_copy(code, at, text, found):
                yield Repair(
                    "", f"test {name} after line {at}: {test}, and look up a copy of the counter", {at: copied}
                )
            break
    text = code.lines[line - 1]
    nested = re.match(r"(\s*)(.*\.\w+\s*\(\s*)((\w+)\.lookup\s*\([^()]*\))(.*)$", text)
    outer = code.map_named(nested[4]) if nested else None
    if nested and outer and outer.value:
        kept = f"{outer.value} *found = {nested[3]}; if (!found) return 0;"
        edited = f"{nested[1]}{kept} {nested[2]}found{nested[5]}"
        yield Repair("", f"keep what {nested[4]}.lookup gives, and test it: {kept}", {line: edited})
    if socket := re.search(r"[(,]\s*(\w+->sk)\s*[,)]", text):
        kept = f"struct bpf_sock *sk = {socket[1]}; if (!sk) return 0;"
        edited = put_before(f"{text[: socket.start(1)]}sk{text[socket.end(1) :]}", kept)
        yield Repair("", f"keep {socket[1]} in a variable, and test it: {kept}", {line: edited})
    called = re.match(r"(\s*)(.*?)\*\s*(\w+)(\([^()]*\))(.*)$", text)
    kind = called and re.search(rf"\b((?:struct )?\w+)\s*\*\s*{called[3]}\s*\(", code.bare)
    if called and kind and called[3] in code.functions:
        kept = f"{kind[1]} *found = {called[3]}{called[4]}; if (!found) return 0;"
        edited = f"{called[1]}{kept} {called[2]}*found{called[5]}"
        yield Repair("", f"keep what {called[3]} gives, and test it: {kept}", {line: edited})


def _moved_test(code: Code, line: int, name: str) -> Repair | None:
    """Return a test that is below the first use of its pointer, moved above it."""
    test = rf"\s*if\s*\(\s*(?:!\s*{name}|{name}\s*==\s*(?:NULL|0))\s*\)"
    for at in range(line + 1, min(line + 8, len(code.lines)) + 1):
        if code.line(at).startswith("}"):
            return None
        if re.match(test, code.line(at)):
            last = at + (not code.line(at).rstrip().endswith((";", "}")))
            moved = code.lines[at - 1 : last]
            if "return" not in moved[-1] or "\n".join(moved).count("{") != "\n".join(moved).count("}"):
                return None
            edits = {line + step: text for step, text in enumerate([*moved, *code.lines[line - 1 : at - 1]])}
            named = f"line {at}" if last == at else f"lines {at} and {last}"
            return Repair("", f"test {name} before its use: move {named} above line {line}", edits)
    return None


def _within_test(code: Code, line: int, name: str) -> Repair | None:
    """Return a test around a statement, where the lines below do something where the pointer is NULL."""
    text, last = code.line(line), code.function_at(line)[2]
    below = "\n".join(code.lines[line:last])
    null = rf"!\s*{name}\s*\)|{name}\s*==\s*(?:NULL|0)\s*\)"
    has_other = rf"\bif\s*\(\s*(?:{null}|{name}\s*(?:!=\s*(?:NULL|0)\s*)?\)[^;{{]*[;{{][^}}]*?\belse\b)"
    statement = re.fullmatch(r"(\s*)([^\s{}][^{}]*;)\s*", text)
    if (
        statement is None
        or not re.search(has_other, below)
        or re.match(r"(?:if|for|while|return|[\w ]+\*?\s\w+\s*=[^=])", statement[2])
    ):
        return None
    right = f"{{ if ({name}) {statement[2]} }}"
    return Repair("", f"test {name} around this line: {right}", {line: f"{statement[1]}{right}"})


def _with_copy(code: Code, at: int, text: str, found: re.Match[str]) -> str:
    """Return a lookup with a copy of the loop's counter as its key, and its test; empty where it has no such key."""
    key = re.search(r"lookup\w*\s*\(\s*&(\w+)", found[0])
    loop = key and next((each for each in reversed(code.lines[: at - 1]) if re.search(r"\bfor\s*\(", each)), "")
    if not key or not loop or not re.search(rf"\b{key[1]}\s*=", loop):
        return ""
    name = re.match(r"\w+", found[0])
    statement = text[: found.end()].replace(f"&{key[1]}", "&copy", 1)
    tested = f"{statement} if (!{name[0] if name else 'p'}) return 0;{text[found.end() :]}"
    return put_before(tested, f"u32 copy = {key[1]};")


def _given_back_later(code: Code, line: int) -> Iterator[Repair]:
    """Yield a submit or discard that is moved behind the last use of its record, or is the second one."""
    if re.match(r"\s*\w+\.ringbuf_(?:submit|discard)\s*\([^;]*;\s*$", code.lines[line - 1]):
        yield Repair("", f"give it back once: remove line {line}", {line: ""})
        return
    for at in range(line - 1, 0, -1):
        early = re.match(
            r"(\s*)(if\s*\(.*\)\s*)?(\{\s*)?(\w+\.ringbuf_discard\s*\(\s*(\w+)[^;]*;)\s*(\}\s*)?$", code.lines[at - 1]
        )
        is_inside = early and (early[2] or len(early[1]) > len(code.line(line)) - len(code.line(line).lstrip()))
        if early and is_inside and bool(early[3]) == bool(early[6]) and re.search(rf"\b{early[5]}\b", code.line(line)):
            right = f"{early[1]}{early[2] or ''}{{ {early[4]} return 0; }}"
            yield Repair("", f"leave after it was given back: in line {at} write {right.strip()}", {at: right})
            return
        given = re.match(r"\s*\w+\.ringbuf_(?:submit|discard)\s*\(\s*(\w+)[^;]*;\s*$", code.lines[at - 1])
        if given and re.search(rf"\b{given[1]}\b", code.lines[line - 1]):
            between = code.lines[at:line]
            edits = {at + step: text for step, text in enumerate([*between, code.lines[at - 1]])}
            yield Repair("", f"move line {at} after line {line}", edits)
            return


def _limited_loop(code: Code, line: int) -> Repair | None:
    """Return a loop over an array that also ends at the array's end."""
    text = code.lines[line - 1]
    loop = re.search(
        r"\b(?:while\s*\(|for\s*\([^;]*;)\s*([^;]*?\b(\w+)\s*\[\s*(\w+)\s*\][^;{]*?)(?=\)\s*\{?\s*$|;)", text
    )
    size = code.bytes_of(loop[2]) if loop else None
    if loop is None or not size or "<" in loop[1]:
        return None
    edited = f"{text[: loop.start(1)]}{loop[3]} < {size} && {text[loop.start(1) :]}"
    what = f"nothing ends the loop at the end of {loop[2]}, which has {size} bytes"
    return Repair(what, f"limit it: {loop[3]} < {size} && {loop[1]}", {line: edited})


def _licence(code: Code) -> Iterator[Repair]:
    if found := code.find(r"^([ \t]*#[ \t]*define[ \t]+BPF_LICENSE)[ \t]+.*$"):
        right = f"{found[1][1]} GPL"
        yield Repair("", f"in line {found[0]} write {right}", {found[0]: right})


def _compared(code: Code, line: int, said: str) -> Iterator[Repair]:
    """Yield a comparison with the packet's end that is there, the other way round or for the size of a header."""
    for at in range(line - 1, 0, -1):
        text = code.lines[at - 1]
        if text.startswith("}"):
            return
        test = re.search(r"\bif\s*\((.*\+.*?)(<=?|>=?)\s*(\w*end\w*|[^;{}]*data_end)\s*\)\s*(?:return\b|\{?$)", text)
        if test is None:
            continue
        start, end = test.span(2)
        if test[2].startswith("<"):
            what = f"the test in line {at} is the other way round: it leaves where the packet is long enough"
            yield Repair(what, f"in line {at} write > in place of {test[2]}", {at: f"{text[:start]}>{text[end:]}"})
        size = re.search(r"\bsizeof\s*\(\s*(\w+)\s*\)", test[1])
        if size and re.search(rf"\bstruct\s+\w+\s*\*\s*{size[1]}\b", code.bare):
            what = f"sizeof({size[1]}) in line {at} is the size of a pointer, 8 bytes, not of the header"
            right = f"sizeof(*{size[1]})"
            yield Repair(what, f"in line {at} write {right}", {at: text.replace(size[0], right)})
        covered, reach = re.search(r"\+\s*(\d+)\s*\)?\s*$", test[1]), re.search(r"\boff=(\d+) size=(\d+)", said)
        needed = int(reach[1]) + int(reach[2]) if reach else 0
        if covered and int(covered[1]) < needed:
            begin, last = (test.start(1) + place for place in covered.span(1))
            what = f"the test in line {at} covers {covered[1]} bytes of the packet, and this line needs {needed}"
            edited = f"{text[:begin]}{needed}{text[last:]}"
            yield Repair(what, f"in line {at} write {needed} in place of {covered[1]}", {at: edited})


def _inside_packet(code: Code, line: int, said: str) -> Iterator[Repair]:
    """Yield a comparison with the packet's end behind the statement that sets the pointer to a header."""
    yield from _compared(code, line, said)
    context = re.search(r"\bstruct\s+(?:xdp_md|__sk_buff|sk_msg_md)\s*\*\s*(\w+)", code.bare)
    ending = re.search(r"\b(\w+)\s*=\s*[^;=]*->data_end\s*;", code.bare)
    end = ending[1] if ending else f"(void *)(long){context[1]}->data_end" if context else ""
    last = re.findall(r"\breturn\s+(\w+)\s*;", code.bare)
    for name in dict.fromkeys(
        re.findall(r"(?:\*\s*|\b)([A-Za-z_]\w*)(?=->|\[0\])|(?<=\*)([A-Za-z_]\w*)", code.lines[line - 1])
    ):
        pointer = name[0] or name[1]
        for at in range(line, 0, -1):
            text = code.lines[at - 1]
            found = re.search(rf"\b{pointer}\s*=[^;=][^;]*;", text)
            if found and end and last and not text.lstrip().startswith("if"):
                test = f"if ((void *)({pointer} + 1) > {end}) return {last[-1]};"
                yield Repair(
                    f"the packet may be shorter than {pointer} reaches, and nothing compares it with the packet's end",
                    f"compare after line {at}: {test}",
                    {at: f"{text[: found.end()]} {test}{text[found.end() :]}"},
                )
                break


def _given_back(code: Code, line: int) -> Iterator[Repair]:
    """Yield a discard before the first return behind the line that reserves a record, but for the test of NULL."""
    taken = re.search(r"(\w+)\s*=\s*(\w+)\.ringbuf_reserve\b", code.lines[line - 1])
    if taken is None:
        return
    record, ring = taken.groups()
    yield from _given_back_else(code, line, record, ring)
    for at in range(line + 1, len(code.lines) + 1):
        text, above = code.lines[at - 1], code.lines[at - 2]
        if text.startswith("}"):
            return
        left = re.search(r"\breturn\b[^;]*;", text)
        is_test = re.search(rf"if\s*\(\s*(?:!\s*{record}\b|{record}\s*==)", text if "if" in text else above)
        if left and not is_test:
            given = f"{ring}.ringbuf_discard({record}, 0);"
            edited = f"{text[: left.start()]}{{ {given} {left[0]} }}{text[left.end() :]}"
            what = f"the record {record} that is reserved here is still held at the return in line {at}"
            yield Repair(what, f"give it back before that return: {given}", {at: edited})


def _given_back_else(code: Code, line: int, record: str, ring: str) -> Iterator[Repair]:
    """Yield a discard for the other case, where an if without an else decides about the submit."""
    for at in range(line + 1, code.function_at(line)[2]):
        text = code.line(at).rstrip()
        alone = re.match(rf"\s*(?:if\s*\(.*\)\s*)?{ring}\.ringbuf_submit\s*\(\s*{record}\b[^;]*;$", text)
        decided = "if" in text or re.match(r"\s*if\s*\(.*\)$", code.line(at - 1).rstrip())
        if alone and decided and not re.match(r"\s*else\b", code.line(at + 1)):
            given = f"else {ring}.ringbuf_discard({record}, 0);"
            what = f"the record {record} that is reserved here is still held where the condition of line {at} is false"
            what = what if "if" in text else what.replace(f"line {at}", f"line {at - 1}")
            yield Repair(what, f"give it back in the other case: {given}", {at: f"{text} {given}"})


def _in_order(code: Code, line: int, helper: str) -> Iterator[Repair]:
    """Yield a call of bpf_probe_read_*() whose arguments are in the order (to, size, from)."""
    text, given = code.lines[line - 1], code.arguments(line, helper)
    size = next((each for each in given if each.startswith("sizeof") or number(each) is not None), None)
    inside = re.search(r"sizeof\s*\(\s*(\w+)", size or "")
    to = next((each for each in given if inside and each.lstrip("&") == inside[1]), None)
    rest = [each for each in given if each not in (size, to)]
    if len(given) == 3 and size and to and len(rest) == 1:
        call = f"{helper}({to}, {size}, {rest[0]})"
        edited = re.sub(rf"{helper}\s*\(.*\)(?=\s*;)", lambda _: call, text)
        yield Repair(
            f"the arguments of {helper} are in another order: to, size, from", f"write {call};", {line: edited}
        )
