# SPDX-License-Identifier: Apache-2.0
"""Habits of other tools and processors: libbpf's calls, bpftrace's names, registers; each with the same in BCC's C."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from labkit.bpf.diagnose.code import Code, put_before, split_call
from labkit.bpf.diagnose.events import fields
from labkit.bpf.diagnose.finding import Finding
from labkit.bpf.diagnose.said import Answer, Said

__all__ = ["builtin", "certain", "register", "replaced_call"]

# libbpf's helper -> its argument that is the map, and the same as a method of the map, from all its arguments
_METHODS: dict[str, tuple[int, Callable[[str, list[str]], str]]] = {
    "bpf_map_lookup_elem": (0, lambda name, given: f"{name}.lookup({given[1]})"),
    "bpf_map_update_elem": (0, lambda name, given: f"{name}.update({given[1]}, {given[2]})"),
    "bpf_map_delete_elem": (0, lambda name, given: f"{name}.delete({given[1]})"),
    "bpf_ringbuf_reserve": (0, lambda name, given: f"{name}.ringbuf_reserve({given[1]})"),
    "bpf_ringbuf_output": (0, lambda name, given: f"{name}.ringbuf_output({', '.join(given[1:])})"),
    "bpf_perf_event_output": (1, lambda name, given: f"{name}.perf_submit({given[0]}, {given[3]}, {given[4]})"),
    "bpf_get_stackid": (1, lambda name, given: f"{name}.get_stackid({given[0]}, {given[2]})"),
    "bpf_tail_call": (1, lambda name, given: f"{name}.call({given[0]}, {given[2]})"),
}
_ARGUMENTS = {"bpf_map_update_elem": 4, "bpf_ringbuf_reserve": 3, "bpf_ringbuf_output": 4, "bpf_perf_event_output": 5}
_ARGUMENTS |= {"bpf_map_lookup_elem": 2, "bpf_map_delete_elem": 2, "bpf_get_stackid": 3, "bpf_tail_call": 3}
_MAPS = {
    "BPF_MAP_TYPE_HASH": "BPF_HASH({name}, {key}, {value}, {entries});",
    "BPF_MAP_TYPE_LRU_HASH": 'BPF_TABLE("lru_hash", {key}, {value}, {name}, {entries});',
    "BPF_MAP_TYPE_PERCPU_HASH": "BPF_PERCPU_HASH({name}, {key}, {value}, {entries});",
    "BPF_MAP_TYPE_ARRAY": "BPF_ARRAY({name}, {value}, {entries});",
    "BPF_MAP_TYPE_PERCPU_ARRAY": "BPF_PERCPU_ARRAY({name}, {value}, {entries});",
    "BPF_MAP_TYPE_RINGBUF": "BPF_RINGBUF_OUTPUT({name}, 8);",
    "BPF_MAP_TYPE_PERF_EVENT_ARRAY": "BPF_PERF_OUTPUT({name});",
    "BPF_MAP_TYPE_STACK_TRACE": "BPF_STACK_TRACE({name}, {entries});",
}
_REGISTERS = dict(zip("di si dx cx r8 r9".split(), (f"PT_REGS_PARM{n}" for n in range(1, 7)), strict=True))  # of x86-64
_REGISTERS |= {"ax": "PT_REGS_RC", "ip": "PT_REGS_IP", "bp": "PT_REGS_FP"}
_BUILTINS = {  # of bpftrace: the type of the value, and the call that gives it
    "pid": "(u32)(bpf_get_current_pid_tgid() >> 32)",
    "tgid": "(u32)(bpf_get_current_pid_tgid() >> 32)",
    "tid": "(u32)bpf_get_current_pid_tgid()",
    "uid": "(u32)bpf_get_current_uid_gid()",
    "gid": "(u32)(bpf_get_current_uid_gid() >> 32)",
    "nsecs": "bpf_ktime_get_ns()",
    "cpu": "bpf_get_smp_processor_id()",
    "rand": "bpf_get_prandom_u32()",
    "curtask": "bpf_get_current_task()",
    "cgroup": "bpf_get_current_cgroup_id()",
    "elapsed": "bpf_ktime_get_ns()",
}


def certain(code: Code) -> Iterator[Finding]:
    """Yield what belongs to bpftrace, and libbpf's calls for a map that is declared in BCC's way."""
    script = code.find(
        r"^[ \t]*(?:(tracepoint|t|kprobe|k|kretprobe|uprobe|uretprobe|usdt|profile|interval|software|hardware|"
        r"rawtracepoint|fentry|kfunc):\w[\w:./*]*\s*(?:/[^/\n]*/)?[ \t]*(?:\{|$)|(?:BEGIN|END)\s*\{)"
    )
    if script:
        names = re.match(r"\s*(?:tracepoint|t):(\w+):(\w+)", script[1][0])
        form = f"TRACEPOINT_PROBE({names[1]}, {names[2]})" if names else "TRACEPOINT_PROBE(category, event)"
        what = "this is a program for bpftrace; the cell takes BCC's C"
        yield Finding(script[0], 0, what, f"in BCC this probe begins: {form} {{ and it ends with return 0; }}")
        return
    if usdt := code.find(r"\bbpf_usdt_readarg\w*\s*\("):
        what = "bpf_usdt_readarg needs to know the probe, which a cell does not"
        yield Finding(usdt[0], 0, what, "read the arguments of USDT probes as lesson 05 does: labkit.lessons.usdt")
    yield from _declared_map(code)
    yield from _other_probes(code)
    yield from _registers(code)
    yield from _core_read(code)
    for helper, (at, method) in _METHODS.items():
        for found in re.finditer(rf"(?<![\w.]){helper}\s*\(", code.bare):
            line = code.line_at(found.start())
            given = code.arguments(line, helper)
            name = given[at].lstrip("& ") if len(given) == _ARGUMENTS[helper] else ""
            if code.map_named(name):
                right = method(name, given)
                what = f"{helper} with the address of a map is libbpf's way; in BCC a map has methods"
                yield Finding(line, 0, what, f"write {right}", edits=replaced_call(code, line, helper, right))
    for found in re.finditer(r"\b(\w+)\s*\.\s*((?:atomic_)?increment)\s*\(\s*&\s*(\w+)\s*(?=[,)])", code.bare):
        line, text = code.line_at(found.start()), code.lines[code.line_at(found.start()) - 1]
        what = f"{found[1]}.{found[2]} takes the key itself, not its address"
        right = f"{found[1]}.{found[2]}({found[3]}"
        rest = "" if code.bare[found.end()] == "," else ")"
        yield Finding(line, 0, what, f"write {right}{rest or ', …)'}", edits={line: text.replace(found[0], right)})


def _declared_map(code: Code) -> Iterator[Finding]:
    """Yield a map that is declared as libbpf has it, in a program that is BCC's otherwise."""
    if code.find(r'\bSEC\s*\(\s*"\w+/|#\s*include\s*[<"](?:vmlinux\.h|bpf/\w+\.h)'):
        return
    for found in re.finditer(
        r"\bstruct\s*\{([^{}]*)\}\s*(\w+)\s*(?:SEC|__section)\s*\(\s*\"\.maps\"\s*\)\s*;", code.bare
    ):
        first, last = code.line_at(found.start()), code.line_at(found.end())
        told = dict(re.findall(r"__(?:uint|type)\s*\(\s*(\w+)\s*,\s*([^;]*?)\s*\)\s*;", found[1]))
        form = _MAPS.get(told.get("type", ""), "BPF_HASH({name}, {key}, {value}, {entries});")
        words = {"key": told.get("key", "u32"), "value": told.get("value", "u64"), "name": found[2]}
        right = form.format(entries=told.get("max_entries", "1024"), **words)
        edits = {first: right, **dict.fromkeys(range(first + 1, last + 1), "")}
        yield Finding(first, 0, f"the map {found[2]} is declared in libbpf's way", f"in BCC write {right}", edits=edits)
    licence = code.find(r"^.*SEC\s*\(\s*\"license\"\s*\).*$")
    if licence:
        what = "BCC gives the program its licence (GPL) itself"
        yield Finding(licence[0], 0, what, "take this line away", edits={licence[0]: ""})


def _other_probes(code: Code) -> Iterator[Finding]:
    """Yield a probe that begins with a macro of libbpf, and an iterator."""
    found = code.find(r"^[ \t]*(?:static\s+)?(?:int\s+)?BPF_(K|U|KRET|URET)PROBE\s*\(\s*(\w+)((?:\s*,[^(){},]+)*)\)")
    if found and not code.find(r"#\s*define\s+BPF_[A-Z]+PROBE\b|\bSEC\s*\("):
        line, parts = found
        prefix = {"K": "kprobe__", "KRET": "kretprobe__"}.get(parts[1], "")
        given = " ".join(parts[3].split()) if "RET" not in parts[1] else ""
        right = f"int {prefix}{parts[2]}(struct pt_regs *ctx{given})"
        text = code.line(line)
        edits = {line: text.replace(parts[0].strip(), right)} if parts[0].strip() in text else {}
        fix = f"write {right}" + ("; the result is PT_REGS_RC(ctx)" if "RET" in parts[1] else "")
        if not code.find(r"#\s*include\s*[<\"](?:uapi/)?(?:linux/ptrace|labkit\w*)\.h"):
            include = "#include <uapi/linux/ptrace.h>"
            edits = {code.first_line: f"{include}\n{code.line(code.first_line)}", **edits} if edits else {}
            fix += f", and {include} above it"
        yield Finding(line, 0, f"BPF_{parts[1]}PROBE is a macro of libbpf", fix, edits=edits)
    if iterator := code.find(r"^[ \t]*BPF_ITER\s*\("):
        what = "BPF_ITER is a program that runs when its file is read, and a cell attaches to events only"
        fix = "write TRACEPOINT_PROBE(category, event) {, and collect in a map what you need"
        yield Finding(iterator[0], 0, what, fix)


def _registers(code: Code) -> Iterator[Finding]:
    """Yield a macro for the registers of a kprobe in a tracepoint, which has a record with fields."""
    edits: dict[int, str] = {}
    told = []
    for found in re.finditer(r"\bPT_REGS_([A-Z]+?(\d)?)(?:_CORE|_SYSCALL)?\s*\(\s*\w+\s*\)", code.bare):
        line = code.line_at(found.start())
        probe = code.probe_at(line)
        if probe is None or not code.function_at(line)[0].startswith("TRACEPOINT_PROBE"):
            continue
        known = fields(probe.category, probe.event)
        at = int(found[2]) - 1 if found[2] else 0
        of_call = "sys_enter_" if found[2] else "sys_exit_" if found[1] == "RC" else "-"
        is_known = at < len(known) and probe.event.startswith(of_call)
        right = f"args->{known[at]}" if is_known else ""
        what = f"PT_REGS_{found[1]} reads the registers of a kprobe, and a tracepoint has a record with fields"
        fix = f"write {right}" if right else f"its fields are: {', '.join(known)}"
        if right:
            edits[line] = edits.get(line, code.line(line)).replace(found[0], right)
        told.append((line, what, fix))
    yield from (Finding(line, 0, what, fix, edits=edits) for line, what, fix in told)


def _core_read(code: Code) -> Iterator[Finding]:
    for found in re.finditer(r"\b(BPF_CORE_READ|bpf_core_read)\s*\(", code.bare):
        line = code.line_at(found.start())
        given = code.arguments(line, found[1])
        if found[1] == "BPF_CORE_READ" and len(given) >= 2:
            right = "->".join(given)
            what = "BPF_CORE_READ is libbpf's; BCC makes the reads of kernel structures itself"
            yield Finding(line, 0, what, f"write {right}", edits=replaced_call(code, line, found[1], right))
        elif len(given) == 3:
            right = f"bpf_probe_read_kernel({', '.join(given)})"
            edits = replaced_call(code, line, found[1], right)
            yield Finding(line, 0, "bpf_core_read is libbpf's", f"write {right}", edits=edits)


def register(found: re.Match[str], code: Code, said: Said) -> Answer:
    """Answer a register of x86-64 that this machine's struct pt_regs has not."""
    name = found[1]
    macro = _REGISTERS.get(name.removeprefix("r") if name.isalpha() else name)
    text = code.line(said.line)
    used = re.search(rf"(\w+)\s*->\s*{name}\b", text)
    if macro is None or used is None:
        return None
    right = f"{macro}({used[1]})"
    edits = {said.line: f"{text[: used.start()]}{right}{text[used.end() :]}"}
    return f"{name} is a register of x86-64, and processors such as 64-bit ARM have others", f"write {right}", edits


def builtin(name: str, code: Code, line: int) -> tuple[str, str, dict[int, str]] | None:
    """Return the answer to a name that bpftrace has and C has not: what is wrong, the fix, and the fix as an edit."""
    text = code.lines[line - 1] if 0 < line <= len(code.lines) else ""
    if name == "comm":
        made = "char comm[16]; bpf_get_current_comm(&comm, sizeof(comm));"
        is_first = not re.match(r"\s*(?:if|else|for|while|return\b)", text) or re.match(r"\s*(?:if|return)\b", text)
        edits = {line: put_before(text, made)} if is_first else {}
        what = "comm is a name of bpftrace; in C it has to be declared and filled"
        return what, f"write before its use: {made}", edits
    right = _BUILTINS.get(name)
    if right is None:
        return None
    edits = {line: re.sub(rf"(?<![\w.>]){name}\b", right, text, count=1)}
    return f"{name} is a name of bpftrace; it is not declared in C", f"write {right}", edits


def replaced_call(code: Code, line: int, function: str, right: str) -> dict[int, str]:
    """Return the edit that puts `right` in place of a call that begins and ends in one line; none for a longer one."""
    text = code.lines[line - 1]
    found = re.search(rf"(?<![\w.]){re.escape(function)}\s*\(", text)
    end = split_call(text, found.end())[1] if found else -1
    return {line: text[: found.start()] + right + text[end + 1 :]} if found and end >= 0 else {}
