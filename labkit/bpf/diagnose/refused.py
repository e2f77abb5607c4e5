# SPDX-License-Identifier: Apache-2.0
"""Why the verifier refused a program, where its own words do not say: the cause is in the C."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from labkit.bpf.diagnose import buffers, clang, functions, origins, records, written
from labkit.bpf.diagnose.code import Code, preceded, put_before
from labkit.bpf.diagnose.finding import Finding
from labkit.bpf.diagnose.said import in_file
from labkit.bpf.structures import structures_of
from labkit.bpf.text import Source
from labkit.errors import VerifierError

__all__ = ["cause", "nothing_left", "remarks"]

_UNREACHED = "will never be executed"
_LEFT_CALL = r"last insn is not an exit|the call stack of \d+ frames|unreachable insn|jump out of range|unknown func"
# which refusals a warning of clang explains, by clang's words: the verifier's kinds
_EXPLAINED = (
    (r"result of an assignment", ("context", "read-only", "program", "null")),
    (r"incompatible pointer types", ("stack", "uninitialised", "bounds")),
    (
        r"passing '(?:const )?(struct \w+ \*)'.* of type '(?:const )?\1'",
        ("pointer",),
    ),  # of the headers, and this kernel's
    (r"incompatible pointer to integer", ("null", "pointer")),
)


def remarks(warned: str, path: str, code: Code) -> list[Finding]:
    """Return what is worth a remark in an accepted program: clang's warnings, and what does not do what it says."""
    told = clang.warnings(in_file(warned, path, code), code)
    return [
        *(each for each in told if not re.search(f"library function|{_UNREACHED}", each.words)),  # made of instructions
        *written.warnings(code),
        *_foreign(code),
        *buffers.short_buffers(code),
        *buffers.padded_keys(code),
        *buffers.address_keys(code),
        *buffers.unset_members(code),
        *(each for each in told if _UNREACHED in each.words),  # another remark may say why
    ]


def _foreign(code: Code) -> Iterator[Finding]:
    """Yield that structures of the kernel are read as the headers of another one have them."""
    found = structures_of(code.text)
    first = code.find(rf"\bstruct\s+({'|'.join(found.names)})\b") if found and not found.declarations else None
    if found and first:
        what = (
            f"struct {first[1][1]} is read as Linux {found.headers} has it (the headers here); this kernel does not "
            "describe its own types (CONFIG_DEBUG_INFO_BTF), so the fields may be elsewhere and the values wrong"
        )
        fix = "install the headers of this kernel, or use a helper or the fields of a tracepoint"
        yield Finding(first[0], 0, what, fix)


def cause(warned: str, path: str, code: Code, kind: str, line: int | None, said: str) -> Finding | None:
    """Return the cause that the C shows of a refusal, None if the verifier's words are the best there are.

    Parameters
    ----------
    warned : what clang printed.
    kind, line, said : of the verdict.
    """
    for found in clang.warnings(in_file(warned, path, code), code, explaining=True):
        if _fits(found, kind, line, said):
            return found
    if kind == "uninitialised" and (padded := next(buffers.padded_keys(code), None)):
        return padded
    if kind == "uninitialised" and (unset := next(buffers.unset_members(code), None)):
        return replace(unset, line=line or unset.line)
    if kind in ("stack", "bounds", "uninitialised"):
        short = next(
            (each for each in buffers.short_buffers(code) if each.line == line and "overwritten" in each.what), None
        )
        if short:
            return short
    checks = (check for says, check in _CHECKS if re.match(says, said))
    return next((told for check in checks if (told := check(code, line or 0, said))), None)


def nothing_left(source: Source, function: str) -> VerifierError:
    """Return the error for a function of which clang left no instruction: what it does is undefined in C."""
    code = Code(source.path.read_text(encoding="utf-8"))
    null = code.find(r"\*\s*(\w+)\s*=\s*(?:\([^()]*\)\s*)?(?:0|NULL)\s*;")
    used = code.find(rf"(?<![\w*]\s)\*\s*{null[1][1]}\b\s*=[^=]", null[1].end()) if null else None
    what = f"clang left nothing of {function}: what it does is not defined in C"
    if null and used:
        what = f"{null[1][1]} is NULL (line {null[0]}), and is written through: clang leaves nothing of the function"
    found = Finding(used[0] if used else 0, 0, what, "point it to a variable, or remove the line")
    return VerifierError(found.headline(source.path.name), found.fix, found.detail(code.text, source.path.name))


def _fits(found: Finding, kind: str, line: int | None, said: str) -> bool:
    if "implicit" in found.words:  # a call that BCC left in the program, to nowhere
        return re.match(_LEFT_CALL, said) is not None
    near = line is None or found.line <= line
    return near and any(re.search(words, found.words) and kind in kinds for words, kinds in _EXPLAINED)


def _apart(code: Code, line: int, said: str) -> Finding | None:
    if found := code.find(r"\bnoinline\b|__noinline"):
        what = "a function is kept apart (noinline), and this BCC links no calls between functions"
        return Finding(found[0], 0, what, "take noinline away")
    return None


def _left_call(code: Code, line: int, said: str) -> Finding | None:
    call = functions.left_call(code)
    answer = functions.missing(call[1], code) if call else None
    if call is None or answer is None:
        return None
    right, text = functions.nearest(call[1], code), code.lines[call[0] - 1]
    edits = {call[0]: re.sub(rf"\b{call[1]}(?=\s*\()", right, text)} if right else {}
    return Finding(call[0], 0, *answer, edits=edits)


def _function_pointer(code: Code, line: int, said: str) -> Finding | None:
    if found := code.find(r"\(\s*\*\s*\w+\s*(?:\[\w*\]\s*)?\)\s*\("):
        fix = "write if and else, or a switch, with a plain call in each"
        return Finding(found[0], 0, "BPF has no calls through a pointer", fix)
    return None


def _global(code: Code, line: int, said: str) -> Finding | None:
    """A variable outside of functions is left behind by BCC: its address is 0 in the program."""
    names = set(re.findall(r"[A-Za-z_]\w*", code.line(line)))
    used = next((name for name in code.globals if name in names), None)
    if used is None:
        return None
    declared = code.lines[code.globals[used] - 1]
    is_set = re.search(rf"\b{used}(?:\.\w+)*\s*=(?!=)(?![^;]*\b{used}\b)", code.line(line))
    if is_set and re.match(r"\s+static\s+(?!const)[^=]*;", declared):
        right = declared.replace("static ", "", 1)  # it is set before it is read: nothing is to be kept
        right = right.replace(f"{used};", f"{used} = {{}};") if "struct" in right else right
        what = f"BCC has no static variables: {used} (line {code.globals[used]}) is left behind"
        return Finding(line, 0, what, f"write {right.strip()}", edits={code.globals[used]: right})
    if "[" in declared and re.search(r"\bchar\b[^=]*\*", declared):
        what = f"BCC leaves the table of texts {used} (line {code.globals[used]}) behind"
        return Finding(line, 0, what, "send the number to Python, and choose the text there; or write a switch")
    if "const" in declared and "[" in declared:
        fix = f"use a switch, an array that is filled in the function, or a map: BPF_ARRAY({used}, u32, 4)"
        return Finding(line, 0, f"BCC leaves the table {used} (line {code.globals[used]}) behind", fix)
    if "char" in declared:
        fix = f'move it into the function: char {used}[] = "…";'
        return Finding(line, 0, f"BCC leaves the text {used} (line {code.globals[used]}) behind", fix)
    what = f"BCC has no global variables: {used} (line {code.globals[used]}) is left behind"
    is_changed = re.search(rf"(?:\+\+|--|&)\s*{used}\b|\b{used}\s*(?:\+\+|--|[-+*/|&^]?=[^=])", _below(code, used))
    if (value := re.search(rf"\b{used}\s*=\s*(-?\w+)\s*;", declared)) and not is_changed:
        right = f"#define {used} {value[1]}"
        fix = f"as nothing changes it: {right} in line {code.globals[used]}; or in the first line: --define {used}=…"
        return Finding(line, 0, what, fix, edits={code.globals[used]: right})
    sized = re.search(rf"\b{used}\s*\[\s*(\w+)\s*\]", declared)
    fix = f"use a map: BPF_ARRAY({used}, u64, {sized[1] if sized else 1});"
    if sized and "=" in declared:
        fix = f"set its values one by one inside the function: u64 {used}[{sized[1]}]; {used}[0] = …; or {fix}"
        return Finding(line, 0, what, fix)
    text = code.lines[line - 1]
    added = re.fullmatch(rf"(\s*)(?:{used}\s*\+\+|\+\+\s*{used}|{used}\s*\+=\s*([^;]+?))\s*;(.*)", text)
    uses = len(re.findall(rf"\b{used}\b", code.bare))
    if added is None or uses != 2:
        return Finding(line, 0, what, fix)
    call = f"{used}.increment(zero{f', {added[2]}' if added[2] else ''});"
    edited = f"{added[1]}{{ int zero = 0; {call} }}{added[3]}"
    edits = {code.globals[used]: f"BPF_ARRAY({used}, u64, 1);", line: edited}
    return Finding(line, 0, what, f"{fix} and here int zero = 0; {call}", edits=edits)


def _below(code: Code, name: str) -> str:
    """Return the text below the line that declares a global variable."""
    return "\n".join(code.bare.splitlines()[code.globals[name] :])


def _recursion(code: Code, line: int, said: str) -> Finding | None:
    fix = "write a loop with a constant limit: for (int i = 0; i < 20; i++)"
    for name, (begin, body) in code.functions.items():
        again = re.search(rf"\b{name}\s*\(", body)
        if again and name not in [probe.event for probe in code.probes]:
            at = begin + body[: again.start()].count("\n")
            return Finding(at, 0, f"{name} calls itself, and nothing limits how often", fix)
        for other, (first, within) in code.functions.items():
            back = re.search(rf"\b{name}\s*\(", within)
            if other != name and back and re.search(rf"\b{other}\s*\(", body):
                at = first + within[: back.start()].count("\n")
                return Finding(at, 0, f"{name} and {other} call each other, and nothing limits how often", fix)
    return None


def _both_tested(code: Code, line: int, said: str) -> Finding | None:
    if found := code.find(r"if\s*\(\s*!\s*(\w+)\s*&&\s*!\s*(\w+)\s*\)"):
        one, other = found[1].groups()
        what = f"only one of {one} and {other} is tested: && should be ||"
        return Finding(found[0], 0, what, f"write if (!{one} || !{other})")
    return None


def _name_of_task(code: Code, line: int, said: str) -> Finding | None:
    if re.search(r"->comm\b", code.line(line)) is None:
        return None
    what = "the address of a task is a number here, and its fields cannot be read through it"
    return Finding(line, 0, what, "for its name write bpf_get_current_comm(who, sizeof(who)); it needs 16 bytes")


def _written_to_process(code: Code, line: int, said: str) -> Finding | None:
    text, probe = code.line(line), code.probe_at(line)
    found = re.search(r"(?:\*\s*(?:\([^()]*\)\s*)?(args->\w+)|(args->\w+)\s*\[[^\]]*\])\s*=[^=]", text)
    if found is None or probe is None or probe.category != "syscalls":
        return None
    what = f"{found[1] or found[2]} is an address of the process, and a program that observes may not write there"
    return Finding(line, 0, what, "copy it with bpf_probe_read_user() and change the copy")


def _packet_directly(code: Code, line: int, said: str) -> Finding | None:
    found = re.search(r"\b(\w+)->data(?:_end)?\b", code.line(line))
    if found is None or code.find(rf"\bstruct\s+__sk_buff\s*\*\s*{found[1]}\b") is None:
        return None
    what = f"a socket filter cannot read the packet through {found[0]}"
    fix = (
        f"copy the bytes: u16 kind = 0; bpf_skb_load_bytes({found[1]}, 12, &kind, sizeof(kind)); (12: where they begin)"
    )
    return Finding(line, found.start() + 1, what, fix)


def _lock(code: Code, line: int, said: str) -> Finding | None:
    found = re.search(r"progs cannot use bpf_(spin_lock|timer)", said)
    kind = "socket filter" if said.startswith("socket filter") else "tracing program"
    used = found and (code.find(rf"(?<!struct )\bbpf_{found[1]}\w*\s*\(") or code.find(rf"\bbpf_{found[1]}\b"))
    if not found or not used:
        return None
    what = f"a {kind} cannot use a bpf_{found[1]}"
    fix = "count with __sync_fetch_and_add(&v->n, 1), or use a per-CPU map, which needs no lock"
    if found[1] == "timer":
        fix = "note the time in a map, and let the next event look at it"
    return Finding(used[0], 0, what, fix)


def _field_of_record(code: Code, line: int, said: str) -> Finding | None:
    """A map's method gets the address of a field of the event's record."""
    text = code.line(line)
    field = re.search(r"\b(\w+)\.\w+\s*\([^;]*(&\s*(args->\w+))", text)
    used = code.map_named(field[1]) if field else None
    if field is None or used is None:
        return None
    kind = used.key if said[1] == "2" else used.value
    copy = f"{kind or 'u64'} copy = {field[3]};"
    edits = {line: put_before(text.replace(field[2], "&copy", 1), copy)}
    what = f"&{field[3]} is an address in the record of the event, which this call does not take"
    return Finding(line, 0, what, f"pass the address of a copy: {copy}", edits=edits)


def _narrow_key(code: Code, line: int, said: str) -> Finding | None:
    """A method of a map of sockets reads more bytes than the variable of the key has."""
    call = re.search(r"\b(\w+)\.\w+\s*\([^;]*&\s*(\w+)", code.line(line))
    each = code.map_named(call[1]) if call else None
    declared = code.declared(call[2], line) if call else None
    wanted, has = code.size_of(each.key) if each else None, code.size_of(declared[1]) if declared else None
    if not (call and each and declared and wanted and has and has < wanted):
        return None
    right = re.sub(rf"\b{declared[1]}(\s+{call[2]}\b)", rf"{each.key}\1", code.line(declared[0]), count=1)
    what = f"the key of {each.name} has {wanted} bytes ({each.key}), and {call[2]} has {has}"
    return Finding(line, 0, what, f"declare it in line {declared[0]}: {right.strip()}", edits={declared[0]: right})


def _waiting(code: Code, line: int, said: str) -> Finding | None:
    """bpf_copy_from_user may wait for a page; the helper of the same arguments that does not wait is named."""
    text = code.line(line)
    if "bpf_copy_from_user" not in text:
        return None
    right = text.replace("bpf_copy_from_user", "bpf_probe_read_user")
    what = "bpf_copy_from_user may wait for a page, and a probe may not wait"
    return Finding(line, 0, what, f"write {right.strip()}", edits={line: right})


def _task_as_number(code: Code, line: int, said: str) -> Finding | None:
    text = code.line(line)
    if not re.search(r"\bbpf_get_current_task\s*\(", text):
        return None
    right = re.sub(r"\bbpf_get_current_task\b", "bpf_get_current_task_btf", text)
    what = "bpf_get_current_task gives the task's address as a number, and a pointer is wanted"
    return Finding(line, 0, what, "write bpf_get_current_task_btf()", edits={line: right})


def _address_wanted(code: Code, line: int, said: str) -> Finding | None:
    """A map's method gets a number where it takes an address; its arguments are counted as they are written."""
    text = code.line(line)
    call = re.search(r"\b(\w+)\.(\w+)\s*\(", text)
    declared = code.map_named(call[1]) if call else None
    if call is None or declared is None:
        return None
    nth, given = int(said[1]) - 2, code.arguments(line, call[2])
    what = f"the {'first' if nth == 0 else 'second'} argument of {call[1]}.{call[2]} is a number"
    what += ", and it has to be the address of a variable"
    if nth >= len(given) or text.count(call[0]) != 1:
        return Finding(line, 0, what, "put the number into a variable, and pass its address with &")
    kind = declared.key if nth == 0 else declared.value
    is_variable = given[nth].isidentifier() and not given[nth].isupper()
    right = f"&{given[nth]}" if is_variable else "&copy"
    whole = f"{call[0]}{', '.join([*given[:nth], right, *given[nth + 1 :]])})"
    extra = "" if is_variable else f"{kind or ('int' if nth == 0 else 'u64')} copy = {given[nth]}; "
    statement = re.search(rf"{re.escape(call[0])}.*?\)\s*(?=[;)])", text)
    if statement is None:
        return Finding(line, 0, what, f"write {extra}{whole}")
    edited = f"{text[: statement.start()]}{whole}{text[statement.end() :]}"
    if extra:
        edited = preceded(edited, extra.strip())
    return Finding(line, statement.start() + 1, what, f"write {extra}{whole}", edits={line: edited})


_A_NUMBER = r"R\d+ invalid mem access '(?:scalar|inv)'"
# what the verifier said, from the start of its line, and what looks for the cause: the first that finds it is right
_CHECKS = (
    (_LEFT_CALL, _apart),
    (_LEFT_CALL, _left_call),
    (r"unknown opcode 8d", _function_pointer),
    (origins.A_NUMBER, _global),
    (r"BPF program is too large|the call stack|infinite loop|back-edge|The sequence of|last insn", _recursion),
    (r"R\d+ (?:bitwise operator \|=|pointer \|=|invalid mem access '\w*or_null)", _both_tested),
    (_A_NUMBER, _name_of_task),
    (r".*might sleep", _waiting),
    (r"R\d type=(?:scalar|inv) expected=ptr_", _task_as_number),
    (r"R\d type=ctx expected=fp", _field_of_record),
    (r"R[23] type=(?:scalar|inv) expected=fp", _address_wanted),
    (r"invalid bpf_context access", _packet_directly),
    (r".*stack", _narrow_key),
    (_A_NUMBER, _written_to_process),
    (r"", records.too_long),
    (r"R1 type=fp expected=(?:ringbuf|alloc)_mem", records.not_reserved),
    (r".*progs cannot use bpf_(?:spin_lock|timer)", _lock),
    (r"R\d+ type=(?:scalar|inv) expected=", origins.literal_left_behind),
    (r"BPF program is too large|infinite loop|back-edge|The sequence of", origins.unlimited_loop),
    (origins.A_NUMBER, origins.number_as_address),
)
