# SPDX-License-Identifier: Apache-2.0
"""Texts in C: how they are compared, assigned and printed in a BPF program."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.bpf.diagnose.code import Code, put_before
from labkit.bpf.diagnose.events import field_type
from labkit.bpf.diagnose.finding import Finding
from labkit.bpf.diagnose.habits import replaced_call
from labkit.bpf.diagnose.said import Answer, Match, Said

__all__ = [
    "address",
    "address_as_number",
    "assigned",
    "compared",
    "conversion",
    "copied",
    "format_variable",
    "of_process",
    "of_varying_length",
    "open_text",
    "same_letters",
    "stored_addresses",
    "text_compared",
    "wrong_values",
]

_MOST = 16  # letters that a comparison is spelled out for
_LITERAL = r'"((?:\\.|[^"\\])*)"'
# a conversion that BCC does not know, and kernels since 5.13 do (bpf_bprintf_prepare, kernel/bpf/helpers.c)
_KNOWN_TO_KERNELS = re.compile(r"%%|%[0 +-]*\d*(?:l{0,2}[diuxX]|[csp])")
_CONVERSION = re.compile(r"%(%|[-+ #0]*\d*(?:\.\d+)?(?:hh|h|ll|l|z|j)?[a-zA-Z])")


def same_letters(name: str, text: str, whole: bool) -> str:
    """Return the C that compares an array with a text, letter by letter; `whole` compares its end, too."""
    letters = [f"{name}[{at}] == '{letter}'" for at, letter in enumerate(_letters(text)[:_MOST])]
    end = [f"{name}[{len(letters)}] == 0"] if whole and len(letters) < _MOST else []
    return " && ".join([*letters, *end]) or f"{name}[0] == 0"


def _letters(text: str) -> list[str]:
    return [letter.replace("'", "\\'") if letter != '\\"' else '"' for letter in re.findall(r"\\.|[^\\]", text)]


def compared(code: Code, line: int, function: str) -> tuple[str, dict[int, str]] | None:
    """Return the fix of a call of strcmp, strncmp or memcmp, in words and as an edit; None for other texts."""
    given = code.arguments(line, function)
    if len(given) < 2:
        return None
    texts = [_text_of(code, each) for each in given[:2]]
    at = next((at for at, text in enumerate(texts) if text is not None), None)
    if at is None:
        return _two_arrays(code, line, function, given)
    name, text = given[1 - at].lstrip("& "), texts[at] or ""
    name, copy = of_process(code, line, name, text)
    size = code.constant(given[2]) if len(given) > 2 else None
    if len(given) > 2 and size is None:
        return None
    whole = size is None or size > len(_letters(text))
    shown = text if size is None else "".join(re.findall(r"\\.|[^\\]", text)[:size])
    if len(_letters(shown)) > _MOST or not re.fullmatch(r"[\w.>-]+", name):
        return None
    right = f"({same_letters(name, shown, whole)})"
    edits = replaced_call(code, line, function, right)
    if not edits:
        return None
    edited = edits[line]
    equal = re.escape(right)
    edited, is_equal = re.subn(rf"(?:!\s*{equal}|{equal}\s*==\s*0)", lambda _: right, edited)
    if not is_equal:
        edited = re.sub(rf"{equal}(?:\s*!=\s*0)?", lambda _: f"!{right}", edited)
    return f"compare letter by letter: {copy}{right}", {line: put_before(edited, copy.rstrip()) if copy else edited}


def of_process(code: Code, line: int, name: str, text: str) -> tuple[str, str]:
    """Return the name of an array with the letters to compare with a text, and what copies them there."""
    probe, field = code.probe_at(line), re.fullmatch(r"args->(\w+)", name)
    if probe is None or field is None or probe.category != "syscalls":
        return name, ""
    if "char" not in field_type(probe.category, probe.event, field[1]):
        return name, ""
    size = 8 * (len(_letters(text)) // 8 + 1)
    return "text", f"char text[{size}] = {{}}; bpf_probe_read_user_str(text, sizeof(text), {name}); "


def _two_arrays(code: Code, line: int, function: str, given: list[str]) -> tuple[str, dict[int, str]] | None:
    """Return a loop that compares two arrays, and the line that uses its result."""
    one, other = (each.lstrip("& ") for each in given[:2])
    sizes = [code.bytes_of(one), code.bytes_of(other)]
    if None in sizes or not code.lines[line - 1].lstrip().startswith("if"):
        return None
    limit = code.constant(given[2]) if len(given) > 2 else min(size for size in sizes if size)
    loop = (
        f"int differ = 0; for (int i = 0; i < {limit}; i++) {{ if ({one}[i] != {other}[i]) {{ differ = 1; break; }} "
        f"if (!{one}[i]) break; }} "
    )
    edits = replaced_call(code, line, function, "differ")
    return (f"compare in a loop: {loop.strip()}", {line: put_before(edits[line], loop.strip())}) if edits else None


def copied(code: Code, line: int, function: str) -> tuple[str, dict[int, str]] | None:
    """Return what copies a text in place of strcpy and strncpy; None for other calls."""
    given = code.arguments(line, function)
    if function not in ("strcpy", "strncpy", "strlcpy", "strscpy") or len(given) < 2:
        return None
    to, source = given[0].lstrip("& "), given[1]
    if literal := re.fullmatch(_LITERAL, source):
        right = f"__builtin_memcpy({to}, {source}, {len(_letters(literal[1])) + 1})"
    else:
        probe, field = code.probe_at(line), re.fullmatch(r"args->(\w+)", source)
        of_process = probe and field and probe.category == "syscalls"
        right = f"bpf_probe_read_{'user' if of_process else 'kernel'}_str({to}, sizeof({to}), {source})"
    edits = replaced_call(code, line, function, right)
    return (f"write {right}", edits) if edits else None


def _text_of(code: Code, argument: str) -> str | None:
    """Return the text of a literal, or of an array that is declared with one."""
    if found := re.fullmatch(_LITERAL, argument):
        return found[1]
    name = argument.lstrip("& ")
    declared = code.find(rf"\bchar\s+(?:{re.escape(name)}\s*\[[^\]]*\]|\*\s*{re.escape(name)})\s*=\s*{_LITERAL}")
    return declared[1][1] if declared and name.isidentifier() else None


def assigned(found: Match, code: Code, said: Said) -> Answer:
    """Answer an array of letters that gets a value by =."""
    line = code.line(said.line)
    parts = re.match(r"(\s*)(.*?)([\w.>\[\]-]+)\s*=\s*(.+?)\s*;(.*)$", line)
    if parts is None:
        return None
    indent, head, name, value, rest = parts.groups()
    value = re.sub(r"^str\s*\((.*)\)$", r"\1", value)  # of bpftrace
    what = f"an array such as {name} cannot be assigned with ="
    probe = code.probe_at(said.line)
    if literal := re.fullmatch(_LITERAL, value):
        right = f"__builtin_memcpy({name}, {value}, {len(_letters(literal[1])) + 1});"
    elif (field := re.fullmatch(r"args->(\w+)", value)) and probe and probe.category == "syscalls":
        if "char" not in field_type(probe.category, probe.event, field[1]):
            return None
        right = f"bpf_probe_read_user_str({name}, sizeof({name}), {value});"
    elif re.fullmatch(r"args->\w+", value) and "[" not in value:
        right = f"bpf_probe_read_kernel({name}, sizeof({name}), {value});"
    else:
        return what, f"copy it: __builtin_memcpy({name}, from, sizeof({name}));"
    return what, f"copy it: {right}", {said.line: f"{indent}{head}{right}{rest}"}


def address(found: Match, code: Code, said: Said) -> Answer:
    """Answer & before a value that is in no variable."""
    line = code.line(said.line)
    begin = line.find("&", max(said.column - 1, 0)) if said.column else line.find("&")
    call = re.search(r"\b(\w+)\.(update|insert|lookup\w*|delete)\s*\(", line)
    declared = code.map_named(call[1]) if call else None
    given = code.arguments(said.line, call[2]) if call else []
    value = next(
        (each for each in given if each.startswith("&") and not re.fullmatch(r"&\s*[\w.>\[\]-]*[A-Za-z_]\w*", each)), ""
    )
    what = "& takes the address of a variable, and this is only a value"
    if declared is None or not value or begin < 0:
        return what, "put it into a variable, and pass the variable's address"
    is_key = given.index(value) == 0
    kind = (declared.key or "int") if is_key else (declared.value or "u64")
    name = "key" if is_key else "value"
    kept = f"{kind} {name} = {value.lstrip('& ')};"
    edited = put_before(line.replace(value, f"&{name}", 1), kept)
    return what, f"put it into a variable: {kept} and pass &{name}", {said.line: edited if value in line else line}


def format_variable(found: Match, code: Code, said: Said) -> Answer:
    """Answer a format of bpf_trace_printk that is no text in quotes."""
    given = code.arguments(said.line, "bpf_trace_printk")
    if not given:
        return None
    what, right = "bpf_trace_printk takes its format as a text in quotes, not as a variable", ""
    kept = _text_of(code, given[0])
    if single := re.fullmatch(r"'([^']*)'", given[0]):
        right = f'bpf_trace_printk("{single[1]}")'
        what = "single quotes are for one letter, double quotes for a text"
        return what, f"write {right}", replaced_call(code, said.line, "bpf_trace_printk", right)
    joined = re.fullmatch(rf"{_LITERAL}\s*\+\s*(.+)", given[0])
    if kept is not None:
        values = given[2:] if len(given) > 1 and given[1].startswith("sizeof") else given[1:]
        right = f"bpf_trace_printk({', '.join([f'{chr(34)}{kept}{chr(34)}', *values])})"
    elif joined:
        what = "+ does not join texts in C; the format has a place for each value"
        right = f'bpf_trace_printk("{joined[1]}%d", {joined[2]})'
    elif len(given) == 1 and '"' not in given[0]:
        right = f'bpf_trace_printk("%d", {given[0]})'
    if not right:
        return what, 'write bpf_trace_printk("…")'
    return what, f"write {right}", replaced_call(code, said.line, "bpf_trace_printk", right)


def open_text(code: Code, said: Said) -> tuple[str, str] | tuple[str, str, dict[int, str]]:
    """Answer a text that does not end in its line."""
    line = code.line(said.line)
    what = "the text that begins in this line does not end in it"
    if closed := re.match(r"(.*?)(\)?\s*;\s*)$", line):
        return what, 'write " where it ends', {said.line: f'{closed[1]}"{closed[2]}'}
    return what, 'write " where it ends; a new line inside a text is \\n'


def conversion(found: Match, code: Code, said: Said) -> Answer:
    """Answer a conversion of bpf_trace_printk that BCC does not know."""
    line = code.line(said.line)
    given = code.arguments(said.line, "bpf_trace_printk") or [line]
    odd = [f"%{each}" for each in _CONVERSION.findall(given[0])]
    odd = [each for each in odd if not re.fullmatch(r"%(?:l{0,2}[dux]|[ps])", each)]
    plain = "use only %d %u %x %ld %lu %lx %lld %llu %llx %p %s; no floating point"
    if odd and all(_KNOWN_TO_KERNELS.fullmatch(each) for each in odd):
        return f"BCC does not know {', '.join(odd)}; kernels before 5.13 print nothing then", plain
    return "this conversion is not supported, so the line never prints", plain


def wrong_values(code: Code) -> Iterator[Finding]:
    """Yield a call of bpf_trace_printk whose format wants another number of values than it gets."""
    for found in re.finditer(rf"\bbpf_trace_printk\s*\(\s*{_LITERAL}", code.bare):
        line = code.line_at(found.start())
        given = code.arguments(line, "bpf_trace_printk")
        wanted = sum(1 for each in _CONVERSION.findall(given[0] if given else "") if each != "%")
        if given and len(given) - 1 != wanted and not given[-1].startswith("sizeof"):
            values = "1 value" if wanted == 1 else f"{wanted} values"
            what = f"the format has places for {values}, and gets {len(given) - 1}"
            yield Finding(line, 0, what, "give each % a value: the others print what lies in a register")
        elif given:
            each = [one for one in _CONVERSION.findall(given[0]) if one != "%"]
            yield from _of_another_kind(code, line, list(zip(each, given[1:], strict=False)))


def _of_another_kind(code: Code, line: int, pairs: list[tuple[str, str]]) -> Iterator[Finding]:
    """Yield a number that is printed as a text, a text as a number, and a time of 64 bits as one of 32."""
    for conversion, value in pairs:
        declared = code.declared(value, line) if value.isidentifier() else None
        start = code.line(declared[0]) if declared else value
        if conversion != "s" and value.isidentifier() and re.search(rf"\bchar\s+(?:[^;]*,\s*)?{value}\s*\[", code.bare):
            yield Finding(line, 0, f"%{conversion} prints a number, and {value} is a text", f"write %s for {value}")
        elif conversion == "s" and (declared or re.search(r">>\s*\d+$|^bpf_get_(?!current_task)|^\d+$", value)):
            yield Finding(line, 0, f"%s prints a text, and {value} is a number", f"write %d or %llu for {value}")
        elif conversion in ("d", "u", "x") and re.search(r"bpf_ktime_get_\w*ns\s*\(\s*\)(?!\s*/)", start):
            if declared is None or code.size_of(declared[1]) == 8:
                what = f"%{conversion} prints 32 bits, and {value} has 64"
                yield Finding(line, 0, what, f"write %ll{conversion if conversion != 'd' else 'u'}")


def stored_addresses(code: Code) -> Iterator[Finding]:
    """Yield what puts the address of a variable on the stack into a map, where nothing is left of the variable."""
    address = r"\b(\w+)\s*=\s*\((?:u64|long|unsigned long|size_t)\)\s*(&?)\s*(\w+)\s*;"
    for found in re.finditer(address, code.bare):
        line, rest = code.line_at(found.start()), code.bare[found.end() :].partition("\n}")[0]
        is_key = re.search(rf"\.\s*(?:increment|lookup\w*|update)\s*\(\s*&?\s*{found[1]}\b", rest)
        if is_key and ((found[2] and code.declared(found[3], line)) or code.bytes_of(found[3])):
            what = f"{found[1]} is the address of {found[3]} on the stack, not what is in it"
            yield Finding(line, 0, what, f"copy what is in it: __builtin_memcpy(&to, &{found[3]}, sizeof(to));")
    for found in re.finditer(r"\b(\w+)\s*\.\s*(update|insert)\s*\(", code.bare):
        line, each = code.line_at(found.start()), code.map_named(found[1])
        given = code.arguments(line, found[2])
        value = re.fullmatch(r"&\s*(\w+)", given[1]) if each and len(given) > 1 else None
        if each is None or value is None:
            continue
        above = code.above(line)
        taken = re.search(rf"\b{value[1]}\s*=\s*(?:\([^()]*\)\s*)?(&?)\s*([A-Za-z_]\w*)\s*;", above)
        size = code.bytes_of(taken[2]) if taken else None
        if taken is None or not (size or (taken[1] and code.declared(taken[2], line))):
            continue
        what = f"the map {each.name} keeps the address of {taken[2]}, which ends with the program, not what is in it"
        if size is None or each.macro != "BPF_HASH":
            yield Finding(line, 0, what, f"pass the variable itself: {each.name}.{found[2]}({given[0]}, &{taken[2]})")
            continue
        struct = f"struct text {{ char text[{size}]; }}; BPF_HASH({each.name}, {each.key or 'u64'}, struct text);"
        call = f"{each.name}.{found[2]}({given[0]}, (struct text *)&{taken[2]})"
        edits = {each.line: struct, **replaced_call(code, line, f"{each.name}.{found[2]}", call)}
        yield Finding(line, 0, what, f"keep the text (line {each.line}): {struct} and write {call};", edits=edits)


def address_as_number(code: Code, said: Said) -> Answer:
    """Answer a number as the address that a helper reads: the address is meant, and lacks a cast."""
    line = code.line(said.line)
    for helper in re.findall(r"\b(bpf_probe_read\w*)\s*\(", line):
        given = code.arguments(said.line, helper)
        if len(given) == 3 and not given[2].startswith(("&", "(", '"')):
            right = f"(void *){given[2]}"
            at = line.rfind(given[2])
            edits = {said.line: line[:at] + right + line[at + len(given[2]) :]} if at >= 0 else {}
            return f"the address {given[2]} is a number for C: it lacks a cast", f"write {right}", edits
    return None


def of_varying_length(code: Code, said: Said, field: str) -> Answer:
    """Answer a text of a tracepoint whose length varies (__data_loc): BCC has a macro that copies it."""
    line = code.line(said.line)
    what = f"the length of {field} varies from record to record: it is not a field of args"
    for helper in re.findall(r"\b(bpf_probe_read\w*|__builtin_memcpy|memcpy)\s*\(", line):
        given = code.arguments(said.line, helper)
        if len(given) == 3:
            size = next((each for each in given[1:] if field not in each), f"sizeof({given[0].lstrip('& ')})")
            right = f"TP_DATA_LOC_READ_STR({given[0]}, {field}, {size})"
            return what, f"write {right}", replaced_call(code, said.line, helper, right)
    return what, f"copy it: char text[64]; TP_DATA_LOC_READ_STR(text, {field}, sizeof(text));"


def text_compared(found: Match, code: Code, said: Said) -> Answer:
    """Answer == with a text: what is compared is a letter, or an address."""
    line = code.line(said.line)
    sides = re.search(r'([\w.>-]+(?:\[[^\]]*\])?)\s*([!=])=\s*"((?:\\.|[^"\\])*)"', line)
    if sides is None or sides[1].endswith("]"):
        letter = sides[3] if sides and len(_letters(sides[3])) == 1 else "p"
        edits = (
            {said.line: line.replace(sides[0], f"{sides[1]} {sides[2]}= '{letter}'")} if sides and letter != "p" else {}
        )
        what = "a letter is compared with a text, which is never equal"
        return what, f"write the letter in single quotes: '{letter}'", edits
    name, copy = of_process(code, said.line, sides[1], sides[3])
    same = f"{'!' if sides[2] == '!' else ''}({same_letters(name, sides[3], True)})"
    what = "== compares the addresses of two texts, which are never equal, not their letters"
    return what, f"compare letter by letter: {copy}{same}", {said.line: line.replace(sides[0], same)}
