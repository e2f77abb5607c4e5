# SPDX-License-Identifier: Apache-2.0
"""C that is nearly right: a word, a sign or the order of two declarations. Each answer has the corrected line.

An answer is one row of the table in `clang`; see `labkit.bpf.diagnose.answers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.bpf.diagnose import names
from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.finding import Finding
from labkit.bpf.diagnose.habits import replaced_call
from labkit.bpf.diagnose.said import Answer, Match, Said

__all__ = [
    "below",
    "comment",
    "constant",
    "declared_late",
    "extra_brace",
    "filtered",
    "lookup_in_if",
    "macro_form",
    "macro_with_equals",
    "map_within",
    "member",
    "no_arguments",
    "not_called",
    "open_macros",
    "other_language",
    "other_words",
    "quotes",
    "shadowed",
    "size_missing",
    "slips",
    "spaced_macro",
    "struct_word",
    "structs",
    "switched",
    "unsigned_below_zero",
    "within_another",
]

_FORMS = {
    "BPF_HASH": "BPF_HASH(name, key, value, entries)",
    "BPF_PERCPU_HASH": "BPF_PERCPU_HASH(name, key, value, entries)",
    "BPF_ARRAY": "BPF_ARRAY(name, value, entries)",
    "BPF_PERCPU_ARRAY": "BPF_PERCPU_ARRAY(name, value, entries)",
    "BPF_HISTOGRAM": "BPF_HISTOGRAM(name, key, entries)",
    "BPF_RINGBUF_OUTPUT": "BPF_RINGBUF_OUTPUT(name, 8), with the number of pages",
    "BPF_PERF_OUTPUT": "BPF_PERF_OUTPUT(name)",
    "BPF_STACK_TRACE": "BPF_STACK_TRACE(name, entries)",
    "BPF_PROG_ARRAY": "BPF_PROG_ARRAY(name, entries)",
    "BPF_SOCKMAP": "BPF_SOCKMAP(name, entries)",
    "BPF_SOCKHASH": "BPF_SOCKHASH(name, key, entries)",
    "BPF_QUEUE": "BPF_QUEUE(name, type, entries)",
    "BPF_STACK": "BPF_STACK(name, type, entries)",
    "BPF_LPM_TRIE": "BPF_LPM_TRIE(name, key, value, entries)",
    "BPF_CGROUP_ARRAY": "BPF_CGROUP_ARRAY(name, entries)",
    "BPF_PERF_ARRAY": "BPF_PERF_ARRAY(name, entries)",
    "BPF_ARRAY_OF_MAPS": 'BPF_ARRAY_OF_MAPS(name, "inner map", entries)',
    "BPF_HASH_OF_MAPS": 'BPF_HASH_OF_MAPS(name, key type, "inner map", entries)',
}
_TYPE = r"(?:[us](?:8|16|32|64)|int|char|long|unsigned|size_t|struct\s+\w+)"


def struct_word(found: Match, code: Code, said: Said) -> Answer:
    name = found[1]
    whole = re.sub(rf"(?<!struct )(?<![\w.>]){name}\b", f"struct {name}", code.line(said.line))
    return f"{name} is a struct, and C wants the word", f"write struct {name}", {said.line: whole}


def member(found: Match, code: Code, said: Said) -> Answer:
    wrong, right = ("->", ".") if found[1] == "." else (".", "->")
    line = code.line(said.line)
    used = re.search(
        rf"([\w\])]+)\s*{re.escape(wrong)}\s*(\w+)", line[max(said.column - 12, 0) :] if said.column else line
    )
    name = used[1] if used else "it"
    what = f"{name} is a pointer" if right == "->" else f"{name} is no pointer"
    start = line.find(wrong, max(said.column - 2, 0))
    edits = {said.line: line[:start] + right + line[start + len(wrong) :]} if start >= 0 else {}
    return what, f"write {name}{right}{used[2] if used else 'field'}", edits


def lookup_in_if(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    parts = re.match(rf"(\s*)if\s*\(\s*({_TYPE}\s*\*?\s*(\w+)\s*=\s*.+)\)\s*(\{{?)\s*$", line)
    if parts is None:
        return None
    right = f"{parts[2].strip()}; if ({parts[3]}){' {' if parts[4] else ''}"
    return "C declares no variable inside an if", f"write {right}", {said.line: f"{parts[1]}{right}"}


def not_called(found: Match, code: Code, said: Said) -> Answer:
    """Answer a helper that is named and not called."""
    line = code.line(said.line)
    name = re.search(r"\b(bpf_\w+)\b(?!\s*\()", line)
    if name is None:
        return None
    edited = f"{line[: name.end()]}(){line[name.end() :]}"
    return f"{name[1]} is named here, not called", f"write {name[1]}()", {said.line: edited}


def no_arguments(found: Match, code: Code, said: Said) -> Answer:
    """Answer a helper without arguments that gets some."""
    line = code.line(said.line)
    for name in re.findall(r"\b(bpf_\w+)\s*\(", line[: said.column] if said.column else line)[::-1]:
        if code.arguments(said.line, name) not in ([], [""]):
            return f"{name} has no arguments", f"write {name}()", replaced_call(code, said.line, name, f"{name}()")
    return None


def shadowed(found: Match, code: Code, said: Said) -> Answer:
    if found[1] not in ("args", "ctx"):
        return None
    what = f"{found[1]} is already the name of the probe's record"
    return what, "give the variable another name"


def switched(found: Match, code: Code, said: Said) -> Answer:
    return "switch compares numbers, and this is none", "write if and else; a text is compared letter by letter"


def unsigned_below_zero(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    name = re.search(r"([A-Za-z_]\w*)\s*(?:<\s*0|>=\s*0)", line)
    declared = code.declared(name[1], said.line) if name else None
    if name is None or declared is None:
        return "an unsigned number is never below zero: this test always has the same result", "declare it as s64"
    text = code.lines[declared[0] - 1]
    wider = re.sub(rf"\b{re.escape(declared[1])}(\s+{name[1]}\b)", r"s64\1", text, count=1)
    what = f"{name[1]} is unsigned (line {declared[0]}) and never below zero: this test always has the same result"
    return what, f"declare it as s64 (line {declared[0]}): {wider.strip()}"


def declared_late(found: Match, code: Code, said: Said) -> Answer:
    """Answer a function that is called above the line that declares it."""
    name, text = found[1], code.line(said.line)
    begin = next((each.line for each in code.probes), 0)
    head = re.match(r"\s*([^{]*\))\s*\{?\s*$", text)
    what = f"the function {name} is called above this line, which declares it"
    head = head or re.match(r"\s*([^{]*\))\s*\{.*\}\s*$", text)
    edits = {begin: f"{head[1]};\n{code.lines[begin - 1]}"} if head and 0 < begin < said.line else {}
    declared = f", or declare it above the probe: {head[1]};" if head else ""
    return what, f"move it above its first call{declared}", edits


def below(name: str, code: Code) -> tuple[str, str, dict[int, str]] | None:
    """Return the answer to a map that is declared below its use."""
    declared = code.map_named(name)
    begin = next((each.line for each in code.probes), 0)
    if declared is None or not 0 < begin < declared.line:
        return None
    what = f"the map {name} is declared only below, in line {declared.line}"
    text = code.lines[declared.line - 1]
    edits = {declared.line: "", begin: f"{text.strip()}\n{code.lines[begin - 1]}"}
    return what, f"move line {declared.line} above the probe", edits


def map_within(found: Match, code: Code, said: Said) -> Answer:
    line, probe = code.line(said.line), code.probe_at(said.line)
    if not re.match(r"\s*BPF_\w+\s*\(", line) or probe is None:
        return None
    edits = {said.line: "", probe.line: f"{line.strip()}\n{code.lines[probe.line - 1]}"}
    return "a map is declared outside of functions", f"move this line above line {probe.line}", edits


def macro_form(found: Match, code: Code, said: Said) -> Answer:
    """Answer one of BCC's macros that gets too few or too many arguments."""
    line = code.line(said.line)
    if raw := re.match(r"(\s*)RAW_TRACEPOINT_PROBE\s*\(\s*(\w+)\s*,[^)]*\)(.*)", line):
        right = f"RAW_TRACEPOINT_PROBE({raw[2]})"
        what = "a raw tracepoint takes the name of its event alone"
        fix = f"write {right}, and read the arguments as ctx->args[0], ctx->args[1], …"
        return what, fix, {said.line: f"{raw[1]}{right}{raw[3]}"}
    if several := re.match(r"\s*TRACEPOINT_PROBE\s*\(\s*(\w+)\s*,\s*(\w+)\s*,\s*(\w+)", line):
        category, one, other = several.groups()
        what = f"a probe has one event, and gets {one} and {other}"
        fix = f"write a function for what both do, and a probe for each: TRACEPOINT_PROBE({category}, {other}) {{ … }}"
        return what, fix
    name = re.search(r"\b(BPF_\w+)\s*\(", line)
    if name is None or name[1] not in _FORMS:
        return _own_macro(found, code, line)
    return f"{name[1]} gets too {found[1]} arguments", f"write {_FORMS[name[1]]}"


def _own_macro(found: Match, code: Code, line: str) -> Answer:
    """Answer a macro of the learner's that gets too few or too many arguments."""
    for at, text in enumerate(code.bare.splitlines(), 1):
        defined = re.match(r"\s*#\s*define\s+(\w+)\(([^)]*)\)", text)
        if defined and re.search(rf"\b{defined[1]}\s*\(", line):
            whole = f"{defined[1]}({defined[2]})"
            return f"the macro {defined[1]} (line {at}) gets too {found[1]} arguments", f"it is {whole}"
    return None


def open_macros(code: Code) -> Iterator[Finding]:
    """Yield a macro of the form do { … } while (0) with a brace that is not closed: clang names a line far below."""
    for defined in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)((?:\\\n|[^\n])*)", code.bare, re.MULTILINE):
        body = re.sub(r'"(?:\\.|[^"\\])*"', "", defined[2])
        if re.search(r"\bdo\s*\{", body) and body.count("{") == body.count("}") + 1:
            end = code.line_at(defined.end() - 1)
            last = re.match(r"(.*?)(while\s*\(\s*0\s*\).*)$", code.line(end))
            edits = {end: f"{last[1]}}} {last[2]}"} if last else {}
            what = f"the macro {defined[1]} has a brace that is not closed"
            yield Finding(code.line_at(defined.start(1)), 0, what, "write } before while (0)", edits=edits)


def spaced_macro(name: str, code: Code, line: str) -> tuple[str, str, dict[int, str]] | None:
    """Return the answer to a macro with a blank before its arguments: they are a part of its text then."""
    for at, text in enumerate(code.lines, 1):
        defined = re.match(r"(\s*#\s*define\s+(\w+))[ \t]+(\([^)]*\))(.*)", text)
        if defined and re.search(rf"\b{name}\b", defined[3]) and re.search(rf"\b{defined[2]}\b", line):
            what = f"the macro {defined[2]} (line {at}) has a blank before its arguments"
            return what, f"write {defined[2]}{defined[3]}", {at: f"{defined[1]}{defined[3]}{defined[4]}"}
    return None


def structs(line: str) -> tuple[str, str, str] | None:
    """Return (what, fix, the right line) of a struct without its word, or with commas between its members."""
    if found := re.match(r"(\s*)(\w+)(\s*\{.*)$", line):
        if found[2] not in ("do", "else", "enum", "union", "struct", "try"):
            right = f"{found[1]}struct {found[2]}{found[3]}"
            return f"{found[2]} needs the word struct before it", f"write {right.strip()}", right
    if found := re.match(rf"(\s*(?:struct\s+\w+\s*\{{)?)(.*{_TYPE}\s+\w+\s*,\s*{_TYPE}\s+\w+.*?)(\}}?\s*;?\s*)$", line):
        members = re.sub(rf"\s*,\s*(?={_TYPE}\s+\w)", "; ", found[2]).rstrip()
        right = f"{found[1]}{members.rstrip(';')}; {found[3]}".rstrip()
        return "the members of a struct end with ; not with ,", f"write {right.strip()}", right
    return None


def slips(code: Code) -> Iterator[Finding]:
    """Yield map macros whose arguments are in another order, in quotes, or missing."""
    for found in re.finditer(
        r"^[ \t]*(BPF_(?:HASH|PERCPU_HASH|ARRAY|PERCPU_ARRAY|HISTOGRAM))\s*\(([^()\n]*)\)", code.bare, re.M
    ):
        line = code.line_at(found.start(1))
        given = [each.strip() for each in found[2].split(",")]
        text, macro = code.lines[line - 1], found[1]
        for kind in given[1:3]:
            if code.find(rf"\bstruct\s+{kind}\s*\{{") and not code.find(rf"\btypedef\b|\}}\s*{kind}\s*;"):
                right = re.sub(rf"(?<!struct )\b{kind}\b", f"struct {kind}", text)
                what = f"{kind} is a struct, and C wants the word"
                yield Finding(line, 0, what, f"write {right.strip()}", edits={line: right})
        if given == [""]:
            yield Finding(line, 0, f"{macro} needs a name", f"write {_FORMS[macro]}")
        elif re.fullmatch(r'"\w+"', given[0]):
            right = text.replace(given[0], given[0].strip('"'), 1)
            yield Finding(line, 0, "the name of a map takes no quotes", f"write {right.strip()}", edits={line: right})
        elif re.fullmatch(_TYPE, given[0]):
            named = [each for each in given if not re.fullmatch(rf"{_TYPE}|\d+", each)]
            rest = [each for each in given if each not in named]
            right = text.replace(found[2], ", ".join([*named, *rest])) if len(named) == 1 else text
            fix = f"write {right.strip() if named else _FORMS[macro]}"
            edits = {line: right} if len(named) == 1 else {}
            yield Finding(line, 0, "the first argument of a map is its name", fix, edits=edits)


def other_language(found: Match, code: Code, said: Said) -> Answer:
    """Answer a condition, a loop, a declaration or a map as other languages have it."""
    line = code.line(said.line)
    at = re.match(r"(\s*)@(\w*)\s*(?:\[([^\]]*)\])?\s*(?:=|\+\+)", line)
    if at:
        named = code.map_named(at[2]) or next((each for each in code.maps if each.macro == "BPF_HASH"), None)
        right = f"{named.name if named else at[2] or 'counts'}.increment(key)"
        declared = "" if named else f"declare BPF_HASH({at[2] or 'counts'}, u32, u64); above the probe, and "
        what = f"@{at[2]} is a map of bpftrace; in BCC a map is declared, and has methods"
        return what, f"{declared}write {right}, with the variable key declared and set before"
    within = re.search(r"(!?)\b(\w+)\s+(not\s+)?in\s+(\w+)\b", line)
    if within and code.map_named(within[4]) and re.search(r"\bif\b", line):
        right = f"{'!' if within[1] or within[3] else ''}{within[4]}.lookup(&{within[2]})"
        edits = {said.line: line.replace(within[0], right)}
        return "C has no `in`: lookup gives NULL where a map has no such key", f"write {right}", edits
    each = re.match(r"(\s*)for\s*\(\s*([\w ]+?)\s*&?\s*(\w+)\s*:\s*(\w+)\s*\)\s*(\{?)\s*$", line)
    if each:
        whole, one = code.bytes_of(each[4]), code.size_of(code.kind_of_array(each[4]))
        count = whole // one if whole and one else f"sizeof({each[4]}) / sizeof({each[4]}[0])"
        kind = "u64" if each[2] == "auto" else each[2]
        right = f"for (int i = 0; i < {count}; i++) {{ {kind} {each[3]} = {each[4]}[i];"
        edits = {said.line: f"{each[1]}{right}"} if each[5] else {}
        return "C has no loop over the elements of an array", f"write {right}", edits
    return names.declaration(line, said.line) or other_words("", line, said.line)


def filtered(found: Match, code: Code, said: Said) -> Answer:
    """Answer a filter behind the head of a probe, as bpftrace has it."""
    line, below = code.line(said.line), code.line(said.line + 1)
    parts = re.match(r"(.*\))\s*/(.+)/\s*(\{?)\s*$", line)
    if parts is None:
        return None
    test = f"    if (!({parts[2].strip()})) return 0;"
    edits = {said.line: f"{parts[1]}{' {' if parts[3] else ''}"}
    edits[said.line if parts[3] else said.line + 1] = f"{edits[said.line] if parts[3] else below}\n{test}"
    what = "a filter between / and / is bpftrace's; in C it is the first line of the function"
    return what, f"write {test.strip()}", edits


def other_words(name: str, line: str, number: int) -> tuple[str, str, dict[int, str]] | None:
    """Return the answer to and, or, not, `in`, a condition without brackets and a counter without a type."""
    each_in = r"(\s*)for\s*\(?\s*(?:\w+\s+)?(\w+)\s+in\s+(?:range\s*\(\s*)?(?:(\d+)\s*(?:\.\.|,)\s*)?(\w+)"
    if found := re.match(each_in, line):
        end = "{" if line.rstrip().endswith(("{", ":")) and "{" in line else ""
        right = f"for (int {found[2]} = {found[3] or 0}; {found[2]} < {found[4]}; {found[2]}++) {end}".rstrip()
        return "C has no `in`", f"write {right}", {number: f"{found[1]}{right}"}
    if found := re.search(r"\b(?:elif|elsif|elseif)\b\s*", line):
        right = f"{line[: found.start()]}else if {line[found.end() :]}"
        right = re.sub(r"else if (?!\()([^{:]+?)\s*:?\s*(\{?)\s*$", r"else if (\1) \2", right).rstrip(": ")
        return f"C has no {found[0].strip()}", f"write {right.strip()}", {number: right}
    if name and (found := re.match(rf"(\s*for\s*\(\s*)({name}\s*=.*)$", line)):
        right = f"{found[1]}int {found[2]}"
        return f"{name} is not declared", f"write {right.strip()}", {number: right}
    if re.search(r"\b(?:and|or|not)\b", re.sub(r'"[^"]*"', "", line)):
        right = re.sub(r"\bnot\s+", "!", re.sub(r"\bor\b", "||", re.sub(r"\band\b", "&&", line)))
        right = re.sub(r":\s*$", "", right)
        right = re.sub(r"^(\s*(?:if|while)\s+)(?!\()([^{]+?)(\s*\{)?$", r"\1(\2)\3", right)
        right = right.replace("True", "true").replace("False", "false").replace("None", "NULL")
        return "and, or, not are another language's words", f"write && || !: {right.strip()}", {number: right}
    if found := re.match(r"(\s*(?:if|while)\s*)(?!\s*\()([^;{]+?)\s*(\{?)\s*:?\s*$", line):
        right = f"{found[1].rstrip()} ({found[2].rstrip(': ')}){' {' if found[3] else ''}"
        return "a condition is in brackets", f"write {right.strip()}", {number: right}
    return None


def macro_with_equals(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    for number, text in enumerate(code.lines, 1):
        defined = re.match(r"(\s*#\s*define\s+(\w+))\s*=\s*(.*)$", text)
        if defined and re.search(rf"\b{defined[2]}\b", line):
            right = f"{defined[1]} {defined[3].rstrip('; ')}"
            return f"the macro {defined[2]} (line {number}) is {'= ' + defined[3]}", f"write {right}", {number: right}
    return None


def size_missing(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    call = re.search(r"ringbuf_reserve\s*\(\s*(struct\s+\w+)\s*(?:,[^()]*)?\)", line)
    if call is None:
        return None
    right = f"ringbuf_reserve(sizeof({call[1]}))"
    return "ringbuf_reserve takes a number of bytes", f"write {right}", {said.line: line.replace(call[0], right)}


def within_another(found: Match, code: Code, said: Said) -> Answer:
    """Answer a function that begins inside the one above it, which is not closed."""
    head = next((at for at in range(said.line, 0, -1) if re.match(r"\w[^;{}]*\)", code.line(at))), 0)
    above = next((at for at in range(head - 1, 0, -1) if re.match(r"\w[^;{}]*\)\s*\{?\s*$", code.line(at))), 0)
    if not head or not above:
        return None
    what = f"a function begins here, and the one above (line {above}) is not closed"
    return what, f"write }} above line {head}", {head: f"}}\n{code.line(head)}"}


def extra_brace(found: Match, code: Code, said: Said) -> Answer:
    edits = {said.line: ""} if code.line(said.line).strip() == "}" else {}
    return "there is one } too many", "take this one away, or one above", edits


def constant(found: Match, code: Code, said: Said) -> Answer:
    return f"{found[1]} is declared const: it cannot be changed", "take the word const away where it is declared"


def quotes(found: Match, code: Code, said: Said) -> Answer:
    plain = code.line(said.line).translate(str.maketrans("“”„‘’", '"""\'\''))
    return "these are typographic quotes", f"write the plain quotes: {plain.strip()}", {said.line: plain}


def comment(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    return "# begins no comment in C", "write // before a comment", {said.line: line.replace("#", "//", 1)}
