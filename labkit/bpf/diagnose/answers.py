# SPDX-License-Identifier: Apache-2.0
"""What each thing that clang says means in a BPF program, and what to write instead.

Each function is one answer of the table in `clang`. It gets the match of clang's words, the program, and the
diagnostic; it returns (what is wrong, the fix), or None where it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from labkit.bpf.diagnose import functions, grammar, habits, names, texts
from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.events import fields, near, nearest_event
from labkit.bpf.diagnose.said import Answer, Match, Said, edit
from labkit.bpf.structures import promised_in, structures_of
from labkit.machine.btf import KERNEL_BTF, kernel_btf

__all__ = [
    "always",
    "call",
    "cast",
    "cpp",
    "declared_below",
    "event_names",
    "field",
    "fixed",
    "header",
    "helper_arguments",
    "incomplete",
    "kernel_field",
    "kernel_function",
    "macro",
    "one_name",
    "open_bracket",
    "placeholder",
    "raw",
    "semicolon",
    "type",
    "unclosed",
    "undeclared",
]

_C_NAMES = {"task_struct": "for its name: bpf_get_current_comm(&comm, sizeof(comm)); else: #include <linux/sched.h>"}


def field(found: Match, code: Code, said: Said) -> Answer:
    field, category, event = found.groups()
    known = fields(category, event)
    if not known:
        return None
    what = f"{category}:{event} has no field {field}"
    entry = event.replace("sys_exit_", "sys_enter_")
    if entry != event and field in fields(category, entry):
        return (
            what,
            f"its fields are: {', '.join(known)}; {field} belongs to {entry}: keep it in a map there, by thread",
        )
    leaves = event.replace("sys_enter_", "sys_exit_")
    if field == "ret" and leaves != event:
        head = code.probe_at(said.line)
        edits = {head.line: code.line(head.line).replace(event, leaves)} if head else {}
        return what, f"the result is known when the call ends: TRACEPOINT_PROBE({category}, {leaves})", edits
    if field in known:
        return texts.of_varying_length(code, said, field)
    close = near(field, known) or next((each for each in known if each in field or field in each), "")
    hint = (f"did you mean {close}? " if close else "") + f"Its fields are: {', '.join(known)}"
    return what, hint, edit(code, said, field, close)


def raw(found: Match, code: Code, said: Said) -> Answer:
    probe = code.probe_at(said.line)
    what = f"a raw tracepoint's context has no field {found[1]}: it has only args, the event's arguments as numbers"
    if probe and probe.event == "sys_enter":
        return (
            what,
            "the call's number is ctx->args[1]; for named fields: TRACEPOINT_PROBE(raw_syscalls, sys_enter)",
        )
    return what, "write ctx->args[0], ctx->args[1], …; for named fields use TRACEPOINT_PROBE(category, event)"


def undeclared(found: Match, code: Code, said: Said) -> Answer:
    name, probe = found[1], code.probe_at(said.line)
    line = code.line(said.line)
    if name == "ctx" and probe and probe.kind == "TRACEPOINT_PROBE":
        right = re.sub(r"\bctx\b", "args", line)
        return "in TRACEPOINT_PROBE the record is called args, not ctx", f"write {right.strip()}", {said.line: right}
    if name == "args" and probe and probe.kind == "RAW_TRACEPOINT_PROBE":
        return "in a raw tracepoint the context is called ctx", "write ctx->args[0], ctx->args[1], …"
    if name == "args" and (probe is None or "kprobe" in probe.kind):
        return (
            "args belongs to TRACEPOINT_PROBE; here the function's own parameters are used",
            "write the parameter's own name",
        )
    if told := names.declaration(line, said.line) if name in ("let", "var", "auto") else None:
        return told
    if name == "errno":
        return names.errno(code, said.line)
    if name in ("kstack", "ustack"):
        return names.stacks_of_bpftrace(name)
    if name in ("std", "cout", "nullptr", "new", "delete", "this"):
        return f"{name} is C++, and this is C", "write C: NULL, pointers and functions"
    if re.match(rf"\s*{name}\s+\w+\s*[=;]", line):
        return type(found, code, said)
    if name in ("None", "True", "False"):
        right = {"None": "NULL", "True": "true", "False": "false"}[name]
        return f"{name} is Python, and this is C", f"write {right}", edit(code, said, name, right)
    if name == "TASK_COMM_LEN":
        return "TASK_COMM_LEN is not declared here: it is 16", "write 16", edit(code, said, name, "16")
    if told := grammar.spaced_macro(name, code, line) or names.of_record(name, code, said.line):
        return told
    if told := grammar.below(name, code) or habits.builtin(name, code, said.line):
        return told
    if name.isupper() and (told := names.constant_of_header(name, code)):
        return told
    known = set(re.findall(r"\b[A-Za-z_]\w{2,}\b", re.sub(r'"[^"]*"', "", code.bare))) - {name}
    known -= {word for each in code.probes for word in (each.category, each.event, each.kind)}
    here = set(re.findall(r"^\s*(?:const\s+)?(?:struct\s+)?\w+[\s*]+(\w+)\s*=", line))  # it has no value yet
    close = near(name, known - here, 0.75) or (names.nearest_constant(name) if name.isupper() else "")
    close = close or next((each for each in names.short(code) - here if re.fullmatch(rf"{each}{{2,}}", name)), "")
    if told := grammar.other_words(name, line, said.line):
        return told
    missing = "declare it, with its value, above this line"
    if name.isupper():
        missing = f"define it above (#define {name} …), or in the first line: --define {name}=…"
    hint = f"did you mean {close}?" if close else missing
    return f"{name} is not declared", hint, edit(code, said, name, close)


def header(found: Match, code: Code, said: Said) -> Answer:
    if found[1] in (
        "stdio.h",
        "stdlib.h",
        "string.h",
        "unistd.h",
        "time.h",
        "math.h",
        "pthread.h",
        "errno.h",
        "iostream",
        "stdatomic.h",
        "ctype.h",
        "assert.h",
    ):
        return (
            f"there is no C library in the kernel, so no {found[1]}",
            'take the line away; to print, write bpf_trace_printk("…")',
        )
    return (
        f"the header {found[1]} is not there",
        "the kernel's own are linux/….h, uapi/linux/….h and net/….h; the lab's is labkit.h",
    )


def type(found: Match, code: Code, said: Said) -> Answer:
    name = found[1]
    if name == "string":
        return "C has no type string", "declare a struct that holds the letters: struct name { char text[16]; };"
    if name in ("def", "import", "from", "class", "let", "var", "auto", "fn", "func", "function"):
        return (
            f"{name} is another language's word; this is C",
            "write C: a probe begins with TRACEPOINT_PROBE(category, event) {",
        )
    known = ["u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "int", "char", "bool", "size_t", "long", "pid_t"]
    known += [f"{sign}int{bits}_t" for sign in ("u", "") for bits in (8, 16, 32, 64) if name.endswith("_t")]
    close = near(name, known + re.findall(r"\bstruct\s+(\w+)", code.bare), 0.6)
    hint = f"did you mean {close}?" if close else "declare the struct above this line, or use u32 or u64"
    return f"there is no type {name}", hint, edit(code, said, name, close)


def incomplete(found: Match, code: Code, said: Said) -> Answer:
    name = found[1]
    if name == "bpf_map":
        return (
            "a map cannot be passed to a function",
            "use the map by its own name inside the function: calls.increment(k);",
        )
    if name in _C_NAMES:
        return f"the fields of struct {name} are not known here", _C_NAMES[name]
    header = promised_in(name)
    what = f"the fields of struct {name} are not known here"
    if not header:
        return what, "include the header that defines it, or declare it above this line"
    return what, f"add #include <{header}>", code.including(f"<{header}>")


def call(found: Match, code: Code, said: Said) -> Answer:
    told = functions.missing(found[1], code)
    name = found[1]
    spelled = texts.compared(code, said.line, name) if "cmp" in name else texts.copied(code, said.line, name)
    if told and spelled:
        return told[0], *spelled
    if found[1].startswith("atomic") and (given := code.arguments(said.line, found[1])) and told:
        if len(given) == 1:
            right = f"__sync_fetch_and_add({given[0]}, 1)"
            return told[0], f"write {right}", habits.replaced_call(code, said.line, found[1], right)
    if told and name in functions.REPLACED:
        return *told, habits.replaced_call(code, said.line, name, functions.REPLACED[name])
    if told and name.startswith("labkit_"):
        return *told, code.including('"labkit.h"')
    if name in ("min", "max") and len(given := code.arguments(said.line, name)) == 2:
        one, other = given
        right = f"({one} {'<' if name == 'min' else '>'} {other} ? {one} : {other})"
        what = f"there is no function {name} in BPF"
        return what, f"write {right}", habits.replaced_call(code, said.line, name, right)
    nearest = functions.nearest(found[1], code)
    return (*told, edit(code, said, found[1], nearest)) if told and nearest else told


def declared_below(found: Match, code: Code, said: Said) -> Answer:
    """Answer a struct that is used above the line that declares it."""
    at = code.find(rf"^[ \t]*struct\s+{found[1]}\s*\{{[^{{}}]*\}}\s*;")
    if at is None or at[0] <= said.line:
        return None
    first, lines = at[0], at[1][0].strip("\n").count("\n") + 1
    whole = " ".join(" ".join(code.bare.splitlines()[first - 1 : first - 1 + lines]).split())
    edits = dict.fromkeys(range(first, first + lines), "")
    edits[said.line] = f"{whole} {code.line(said.line)}"
    what = f"struct {found[1]} is used here, and declared only below (line {first})"
    return what, f"move its declaration above line {said.line}", edits


def unclosed(found: Match, code: Code, said: Said) -> Answer:
    """Answer a brace that is not closed: the one whose partner is indented otherwise."""
    opened: list[tuple[int, int]] = []
    for number, text in enumerate(re.sub(r'"(?:\\.|[^"\\])*"', "", code.bare).splitlines(), start=1):
        indent = len(text) - len(text.lstrip())
        for letter in text:
            if letter == "{":
                opened.append((number, indent))
            elif letter == "}" and opened:
                begun, other = opened.pop()
                if other != indent and begun != number:
                    return f"the block that begins in line {begun} is not closed", "write its } where it ends"
    return (
        "a block is not closed",
        f"write the }} of the block that begins in line {opened[-1][0]}" if opened else "write }",
    )


def open_bracket(found: Match, code: Code, said: Said) -> Answer:
    for number in (said.line, said.line - 1):
        text = code.lines[number - 1] if number > 0 else ""
        bare = re.sub(r'"(?:\\.|[^"\\])*"', "", text)
        end = text.rstrip()
        if bare.count("(") == bare.count(")") + 1 and not end.endswith(","):
            last = end[-1] if end.endswith((";", "{")) else ""
            closed = f"{end.removesuffix(last).rstrip()}){' {' if last == '{' else last}"
            return f"a ( in line {number} is not closed", "close it with )", {number: closed}
    return None


def placeholder(found: Match, code: Code, said: Said) -> Answer:
    name = found[1]
    what = f"${name} is no C: nothing is put in its place here"
    return what, f"write {name}, and give its value in the first line: --define {name}=1234", edit(code, said, "$", "")


def cast(found: Match, code: Code, said: Said) -> Answer:
    if " passing " in found[0] and (told := texts.address_as_number(code, said)):
        return told
    if " passing " in found[0]:
        what = "a number is passed where the address of a variable is wanted"
        return what, "put the number into a variable, and pass its address with &"
    called = re.search(r"=\s*(bpf_get_current_task\s*\(\s*\))", code.line(said.line))
    value = called[1] if called else "value"
    return (
        f"a number becomes a pointer ({found[1]}) without a cast",
        f"write ({found[1]}){value}",
        edit(code, said, value, f"({found[1]}){value}"),
    )


def kernel_field(found: Match, code: Code, said: Said) -> Answer:
    name, structure = found.groups()
    kernel = kernel_btf()
    own = re.search(rf"\bstruct\s+{structure}\s*\{{", code.bare)
    if kernel is None or structure not in kernel.structures or own:
        return None
    known = kernel.names_in(kernel.structures[structure])
    if name == "ppid" and structure == "task_struct":
        edits = edit(code, said, name, "real_parent->tgid")
        return "the parent of a task is another task: real_parent", "write real_parent->tgid", edits
    close = next((each for each in known if each.strip("_") == name.strip("_")), "") or near(name, known)
    close = close or next((each for each in known if len(each) > 2 and name.startswith(each)), "")
    what = f"this kernel's struct {structure} has no field {name}"
    hint = f"did you mean {close}?" if close else f"see: bpftool btf dump file {KERNEL_BTF} format c"
    return what, hint, edit(code, said, name, close)


def kernel_function(found: Match, code: Code, said: Said) -> Answer:
    """Answer a call that hands one of the kernel's structures to a function of the headers."""
    structures = structures_of(code.text)
    passed, wanted = (re.sub(r"\b(?:const|struct)\b|[\s*]", "", each) for each in found.groups())
    if structures is None or passed != wanted or passed not in structures.spelled.values():
        return None
    line = code.line(said.line)
    called = re.findall(r"(\w+)\s*\(", line[: said.column - 1] if said.column else line)
    name = called[-1] if called else "this function"
    what = (
        f"{name} is a function of the headers of {structures.headers}: it reads struct {passed} as that kernel has it"
    )
    return what, "read the fields by their names here instead of calling it"


def helper_arguments(found: Match, code: Code, said: Said) -> Answer:
    """Answer a helper that is called as if it returned what it writes."""
    line = code.line(said.line)
    if "bpf_get_current_comm" in line:
        into = re.match(r"(\s*)(?:char\s*\*?\s*)?([\w.>-]+)\s*=\s*bpf_get_current_comm\s*\(\s*\)\s*;(.*)", line)
        what = "bpf_get_current_comm writes the name into an array that it gets, and needs its size"
        if into and re.match(r"\s*char\b", line):
            right = f"char {into[2]}[16]; bpf_get_current_comm(&{into[2]}, sizeof({into[2]}));"
        elif into:
            right = f"bpf_get_current_comm(&{into[2]}, sizeof({into[2]}));"
        else:
            return what, "write char comm[16]; bpf_get_current_comm(&comm, sizeof(comm));"
        return what, f"write {right}", {said.line: f"{into[1]}{right}{into[3]}"}
    given = code.arguments(said.line, "memset")
    if len(given) == 2:
        right = f"memset({given[0]}, {given[1]}, sizeof({given[0].lstrip('& ')}))"
        edits = habits.replaced_call(code, said.line, "memset", right)
        return "memset has three arguments: what, the byte, the size", f"write {right}", edits
    called = re.findall(r"\b(bpf_probe_read\w*)\s*\(", line)
    if called:
        return f"{called[0]} has three arguments: to, size, from", f"write {called[0]}(&to, sizeof(to), from)"
    return None


def always(found: Match, code: Code, said: Said) -> Answer:
    words = f"&{found[1]} is the address of the variable, and never NULL: the test always has the same result"
    return words, f"test {found[1]} itself, without &"


def semicolon(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    if told := grammar.structs(line):
        return told[0], told[1], {said.line: told[2]}
    if (unknown := re.match(r"\s*(\w+)\s+\w+\s*[=;\[]", line)) and said.column == unknown.end(1) + 1:
        return type(unknown, code, said)
    if said.column and re.match(r"\s*[^\s/;]", line[said.column - 1 :]):
        right = f"{line[: said.column - 1]};{line[said.column - 1 :]}"
        return (
            f"a semicolon is missing in this line (column {said.column})",
            f"write {right.strip()}",
            {said.line: right},
        )
    bare = re.sub(r"\s*(?://.*|/\*.*\*/\s*)?$", "", line)
    return (
        "a semicolon is missing at the end of this line",
        "end the line with ;",
        {said.line: f"{bare};{line[len(bare) :]}"},
    )


def one_name(found: Match, code: Code, said: Said) -> Answer:
    """Answer a tracepoint with one name, or with both in one."""
    line = code.line(said.line)
    if "TRACEPOINT_PROBE" not in line:
        return None
    given = re.search(r"TRACEPOINT_PROBE\s*\(\s*(?:(\w+)\s*[:/.]\s*)?(\w+)\s*\)", line)
    what = "a tracepoint has two names: its category and its event"
    right = nearest_event(given[1] or "syscalls", given[2]) if given else None
    if given is None or right is None:
        return what, "write TRACEPOINT_PROBE(syscalls, sys_enter_read)"
    whole = f"TRACEPOINT_PROBE({right[0]}, {right[1]})"
    return what, f"write {whole}", {said.line: line.replace(given[0], whole)}


def event_names(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    plain = line.replace('"', "")
    return "the names of a tracepoint take no quotes", f"write {plain.strip()}", {said.line: plain}


def fixed(what: str, fix: str) -> Callable[[Match, Code, Said], Answer]:
    return lambda found, code, said: (what, fix)


def macro(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    for number, text in enumerate(code.lines, 1):
        defined = re.match(r"\s*#\s*define\s+(\w+)\s.*;\s*$", text)
        if defined and re.search(rf"\b{defined[1]}\b", line):
            return (
                f"the macro {defined[1]} (line {number}) ends with a semicolon, which comes along here",
                f"take the ; away at the end of line {number}",
                {number: text.rstrip()[:-1]},
            )
    return None


def cpp(found: Match, code: Code, said: Said) -> Answer:
    line = code.line(said.line)
    if re.search(r"\bauto\s*&|\w\s*&\s*\w+\s*=|::|\bclass\b|\btemplate\b", line):
        return "this is C++, and a BPF program is C", "write C: a map is used by its own name, a reference is a pointer"
    return None
