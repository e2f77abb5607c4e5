# SPDX-License-Identifier: Apache-2.0
"""Mistakes that the text itself shows, before clang: maps that the kernel refuses, other dialects, huge unrolled loops.

The kernel's limits are those of kernel/bpf/{hashtab,arraymap,ringbuf}.c and mm/percpu.c.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from labkit.bpf.diagnose import effects, grammar, habits, loops, numbers, records, texts
from labkit.bpf.diagnose.code import Code, Map, number
from labkit.bpf.diagnose.events import declared, event_problem, function_problem, near, nearest_event
from labkit.bpf.diagnose.finding import Finding
from labkit.bpf.maps import possible_cpus

__all__ = ["first_mistake", "map_mistakes", "warnings"]

_PERCPU_BYTES = 32 << 10  # PCPU_MIN_UNIT_SIZE: the most that one per-CPU value may have
_STACK_BYTES = 512  # a key is at most MAX_BPF_STACK
_DEFAULT_ENTRIES = 10240
_MOST_OF_A_RING = 1 << 31  # max_entries is a u32, and a power of two
_MANY_PAGES = 1 << 14  # of a ring: 64 MB
_ARRAY_BYTES = 4 << 30  # an array takes its memory when it is made; the kernel takes minutes to clear more
# BCC has no such macro -> what to write (docs/reference_guide.md of BCC, "Maps")
_SPELLINGS = {
    "BPF_LRU_HASH": 'BPF_TABLE("lru_hash", {key}, {value}, {name}, {entries})',
    "BPF_LRU_PERCPU_HASH": 'BPF_TABLE("lru_percpu_hash", {key}, {value}, {name}, {entries})',
}


def first_mistake(code: Code) -> Finding | None:
    """Return the first mistake that certainly is one."""
    return next(
        (
            found
            for check in (
                _python,
                _includes,
                habits.certain,
                records.certain,
                grammar.slips,
                grammar.open_macros,
                _dialect,
                _macros,
                map_mistakes,
                _events,
                loops.endless,
            )
            for found in check(code)
        ),
        None,
    )


def map_mistakes(code: Code) -> Iterator[Finding]:
    """Yield the maps that the kernel, or this machine's memory, refuses."""
    for each in code.maps:
        problem = _map_problem(code, each)
        if problem:
            yield Finding(each.line, 0, *problem)


def _map_problem(code: Code, each: Map) -> tuple[str, str] | None:
    entries = number(each.entries) if each.entries else _DEFAULT_ENTRIES
    if each.macro in _SPELLINGS:
        given = re.search(rf"{each.macro}\s*\(([^)]*)\)", code.bare)
        name, key, value, size, *_ = (
            [*(part.strip() for part in given[1].split(",")), "u64", "u64", "10240"]
            if given
            else ["NAME", "u64", "u64", "10240"]
        )
        return f"BCC has no {each.macro}", "write " + _SPELLINGS[each.macro].format(
            name=name, key=key, value=value, entries=size
        )
    if entries == 0 and each.macro != "BPF_RINGBUF_OUTPUT":
        return f"the map {each.name} has 0 entries; the kernel wants at least 1", "give it at least one entry"
    if each.macro == "BPF_RINGBUF_OUTPUT":
        if entries and entries * mmap.PAGESIZE > _MOST_OF_A_RING and not entries & (entries - 1):
            what = f"the size of the ring {each.name} is in pages of {mmap.PAGESIZE} bytes, and the kernel allows 2 GB"
            return what, f"write fewer pages: {each.name}, 8"
        if entries is not None and each.entries and (entries == 0 or entries & (entries - 1)):
            lower = 1 << max(entries.bit_length() - 1, 0)
            choice = f"{lower} or {2 * lower}" if entries else "1, or 8"
            return (
                f"the ring {each.name} has {entries} pages; the kernel wants a power of two",
                f"give it {choice} pages",
            )
        return None
    key = code.size_of(each.key) if each.key else None
    if key is not None and key > _STACK_BYTES:
        return (
            f"the key of {each.name} has {key} bytes; a key has to fit on the stack of {_STACK_BYTES} bytes",
            "use a smaller key, such as a number or a hash of the text",
        )
    if each.macro == "BPF_LPM_TRIE" and key is not None and key <= 4:
        return (
            f"the key of an LPM trie begins with the length of the prefix, and {each.key} has no room for it",
            f"declare u32 prefixlen; as the first member of {each.key}, and set it (32: the whole of an IPv4 address)",
        )
    value = code.size_of(each.value) if each.value else 8
    if "PERCPU" in each.macro and value is not None and value > _PERCPU_BYTES:
        return (
            f"a value of the per-CPU map {each.name} has {value} bytes; the kernel allows {_PERCPU_BYTES}",
            "make the value smaller, or use BPF_ARRAY",
        )
    if entries is not None and value is not None and each.macro in ("BPF_ARRAY", "BPF_PERCPU_ARRAY"):
        wanted = entries * value * (possible_cpus() if "PERCPU" in each.macro else 1)
        allowed = min(_free_bytes(), _ARRAY_BYTES)
        if wanted > allowed:
            what = (
                f"the map {each.name} asks for {wanted / 1e9:.1f} GB at once; here it may have {allowed / 1e9:.1f} GB"
            )
            return what, "give it fewer entries"
    return None


def _free_bytes() -> int:
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return int(found[1]) << 10 if found else 1 << 62


_LIBBPF = re.compile(r'SEC\s*\(\s*"([^"]*)"\s*\)')
_FORMS: tuple[tuple[str, Callable[[list[str]], str]], ...] = (
    ("tracepoint|tp", lambda parts: f"TRACEPOINT_PROBE({', '.join(parts)})"),
    ("raw_tracepoint|raw_tp", lambda parts: f"RAW_TRACEPOINT_PROBE({parts[0]})"),
    ("kprobe", lambda parts: f"int kprobe__{parts[0]}(struct pt_regs *ctx)"),
    ("kretprobe", lambda parts: f"int kretprobe__{parts[0]}(struct pt_regs *ctx)"),
)


def _python(code: Code) -> Iterator[Finding]:
    if python := code.find(r"\bfrom\s+bcc\s+import|\bBPF\s*\(\s*text\s*=|\"\"\""):
        what = "this is a Python program that uses BCC; the cell takes its C alone"
        yield Finding(python[0], 0, what, "write only what is between the triple quotation marks")


def _dialect(code: Code) -> Iterator[Finding]:
    """Yield what belongs to libbpf."""
    sign = code.find(r'\bSEC\s*\(|#\s*include\s*[<"](?:vmlinux\.h|bpf/\w+\.h)')
    if sign is None:
        return
    section = next((each for each in _LIBBPF.findall(code.bare) if "/" in each), "")
    kind, *parts = section.split("/") if section else ("",)
    form = next((form(parts) for kinds, form in _FORMS if parts and re.fullmatch(kinds, kind)), "")
    fix = (
        f"in BCC this probe begins: {form} {{"
        if form
        else "write the probe in BCC's form: TRACEPOINT_PROBE(category, event) {"
    )
    yield Finding(
        sign[0],
        0,
        "this is C for libbpf; this lab compiles with BCC",
        f"{fix} without SEC, vmlinux.h and bpf_helpers.h",
    )


_MACROS = (  # of helpers.h of BCC
    "TRACEPOINT_PROBE RAW_TRACEPOINT_PROBE KFUNC_PROBE KRETFUNC_PROBE BPF_HASH BPF_ARRAY BPF_PERCPU_ARRAY "
    "BPF_PERCPU_HASH BPF_HISTOGRAM BPF_PERF_OUTPUT BPF_RINGBUF_OUTPUT BPF_STACK_TRACE BPF_STACK_TRACE_BUILDID "
    "BPF_PERF_ARRAY BPF_PROG_ARRAY BPF_CGROUP_ARRAY BPF_QUEUE BPF_STACK BPF_LPM_TRIE BPF_TABLE BPF_F_TABLE "
    "BPF_TABLE_PUBLIC BPF_TABLE_SHARED BPF_TABLE_PINNED BPF_ARRAY_OF_MAPS BPF_HASH_OF_MAPS BPF_SOCKMAP BPF_SOCKHASH "
    "BPF_SK_STORAGE BPF_TASK_STORAGE BPF_INODE_STORAGE BPF_CGROUP_STORAGE BPF_PERCPU_CGROUP_STORAGE BPF_CPUMAP "
    "BPF_DEVMAP BPF_XSKMAP BPF_XDP_REDIRECT_MAP"
).split()


_CALLED = {
    "BPF_HIST": "BPF_HISTOGRAM",
    "BPF_RINGBUF": "BPF_RINGBUF_OUTPUT",
    "BPF_RING_BUFFER": "BPF_RINGBUF_OUTPUT",
    "BPF_PERF_BUFFER": "BPF_PERF_OUTPUT",
    "BPF_PERF": "BPF_PERF_OUTPUT",
    "BPF_MAP": "BPF_HASH",
    "BPF_HASHMAP": "BPF_HASH",
    "BPF_HASH_MAP": "BPF_HASH",
    "TRACEPOINT": "TRACEPOINT_PROBE",
    "RAW_TRACEPOINT": "RAW_TRACEPOINT_PROBE",
}


def _includes(code: Code) -> Iterator[Finding]:
    """Yield the lab's header, or another one, that is included in another way."""
    for at, text in enumerate(code.bare.splitlines(), 1):
        if re.match(r"\s*#\s*include\s*<labkit\w*\.h>", text):
            right = text.replace("<", '"').replace(">", '"')
            what = "the lab's header is part of the program only in quotation marks"
            yield Finding(at, 0, what, f"write {right.strip()}", edits={at: right})
        elif re.match(r"\s*include\s*[<\"]", text):
            right = text.replace("include", "#include", 1)
            yield Finding(at, 0, "include needs a # before it", f"write {right.strip()}", edits={at: right})


def _macros(code: Code) -> Iterator[Finding]:
    """Yield a word at the beginning of a line that is nearly one of BCC's macros."""
    defined = set(re.findall(r"#\s*define\s+(\w+)", code.bare))
    for found in re.finditer(r"^(\w+)\s*\(", code.bare, re.MULTILINE):
        name = found[1]
        right = _CALLED.get(name.upper()) or near(name.upper(), _MACROS, 0.85)
        if right and name not in (*defined, *_MACROS, *_SPELLINGS):
            line = code.line_at(found.start(1))
            text = code.lines[line - 1]
            yield Finding(line, 1, f"BCC has no {name}", f"write {right}", edits={line: text.replace(name, right, 1)})


def _events(code: Code) -> Iterator[Finding]:
    if pattern := code.find(r"\bTRACEPOINT_PROBE\s*\(\s*([\w*]+)\s*,\s*(\w*\*[\w*]*)\s*\)"):
        what = f"a probe has one event, and {pattern[1][2]} is a pattern"
        fix = f"write a probe for each event of {pattern[1][1]}"
        if pattern[1][1] in ("syscalls", "raw_syscalls"):
            event = "sys_exit" if "exit" in pattern[1][2] else "sys_enter"
            fix = f"for all system calls write TRACEPOINT_PROBE(raw_syscalls, {event}); args->id is the call's number"
        yield Finding(pattern[0], 0, what, fix)
    first: dict[tuple[str, str, str], int] = {}
    for probe in code.probes:
        begun = first.setdefault((probe.kind, probe.category, probe.event), probe.line)
        if begun != probe.line and not code.find(r"^\s*#\s*(?:if|else)"):
            what = f"this probe is there already (line {begun}): an event has one function"
            yield Finding(probe.line, 0, what, f"write the lines of both into the one of line {begun}")
        if (
            probe.kind == "TRACEPOINT_PROBE"
            and probe.category
            and (problem := event_problem(probe.category, probe.event))
        ):
            text, right = code.lines[probe.line - 1], nearest_event(probe.category, probe.event)
            named = re.compile(rf"\b{probe.category}(\s*,\s*){probe.event}\b")
            fixed = named.sub(rf"{right[0]}\g<1>{right[1]}", text) if right else text
            yield Finding(probe.line, 0, *problem, edits={probe.line: fixed} if fixed != text else {})
        if probe.kind in ("KFUNC_PROBE", "KRETFUNC_PROBE") and (problem := function_problem(probe.event)):
            yield Finding(probe.line, 0, *problem)


_RECORD = re.compile(r"\bbpf_probe_read_user(?P<str>_str)?\s*\([^;]*?,\s*(?:\([^)]*\)\s*)?args->(?P<name>\w+)\s*\)")
_OF_KERNEL = re.compile(r"\bbpf_probe_read_user(?P<str>_str)?\s*\([^;]*?,\s*&?\s*(?P<name>\w+)->[\w.>-]+\s*\)")
_KERNELS = "task_struct|sock|file|inode|dentry|mm_struct|nsproxy|cred|sk_buff|request|bio"
_USER = re.compile(r"\bbpf_probe_read_kernel(?P<str>_str)?\s*\([^;]*?,\s*(?:\([^)]*\)\s*)?(?P<from>args->\w+)\s*\)")


def warnings(code: Code) -> Iterator[Finding]:
    """Yield what is accepted without a word, and does not do what it says."""
    for found in re.finditer(r"\bbpf_trace_printk\s*\(\s*(\"(?:\\.|[^\"\\])*\")\s*,([^;]*)\)\s*;", code.bare):
        if '"' in found[2] and "%s" in found[1]:
            yield Finding(
                code.line_at(found.start()),
                0,
                "a string literal is passed for %s: BCC does not load it, and nothing is printed",
                'make it a variable in the function: char word[] = "…";',
            )
    for each in code.maps:
        pages = number(each.entries) if each.macro == "BPF_RINGBUF_OUTPUT" and each.entries else None
        if pages and pages >= _MANY_PAGES:
            what = f"the size of the ring {each.name} is in pages of {mmap.PAGESIZE} bytes: this one takes "
            what += f"{pages * mmap.PAGESIZE / 1e6:,.0f} MB of memory"
            yield Finding(each.line, 0, what, f"write the pages: {each.name}, {max(pages // mmap.PAGESIZE, 8)}")
    yield from texts.wrong_values(code)
    yield from texts.stored_addresses(code)
    yield from records.warnings(code)
    yield from numbers.warnings(code)
    yield from effects.warnings(code)
    for found in _RECORD.finditer(code.bare):
        line = code.line_at(found.start())
        probe = code.probe_at(line)
        if (
            probe
            and probe.category not in ("", "syscalls")
            and "[" in declared(probe.category, probe.event, found["name"])
        ):
            what = f"args->{found['name']} is a part of the record, which is the kernel's: nothing is read there"
            yield Finding(line, 0, what, f"write bpf_probe_read_kernel{found['str'] or ''}")
    for found in _OF_KERNEL.finditer(code.bare):
        name, line = found["name"], code.line_at(found.start())
        kind = re.search(rf"\bstruct\s+({_KERNELS})\s*\*\s*{name}\b", code.above(line))
        if kind:
            what = f"{name} is the address of a struct {kind[1]} in the kernel, and the helper reads a process's memory"
            yield Finding(line, 0, what, f"write bpf_probe_read_kernel{found['str'] or ''}")
    for found in _USER.finditer(code.bare):
        line = code.line_at(found.start())
        probe = code.probe_at(line)
        if probe and probe.category == "syscalls":
            what = f"{found['from']} is an address of the process, and the kernel's helper reads nothing there"
            yield Finding(line, 0, what, f"write bpf_probe_read_user{found['str'] or ''}")
