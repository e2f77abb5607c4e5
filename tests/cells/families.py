# SPDX-License-Identifier: Apache-2.0
"""Families of programs: one kind of mistake in many spellings, its line (marked `// <-`) and the words expected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MARK = "// <-"
_EVENTS = ("sys_enter_getppid", "sys_enter_read", "sys_exit_write")


@dataclass(frozen=True)
class Program:
    """One program; `words` as in expected.txt."""

    name: str
    text: str
    words: str
    accepted: bool = False

    @property
    def cell(self) -> str:
        return f"// %%bpf cell --no-attach\n{self.text}"

    @property
    def line(self) -> int:
        """The line of the mark; 0 without one."""
        return next((number for number, line in enumerate(self.cell.splitlines(), 1) if MARK in line), 0)


def probe(*body: str, event: str = "sys_enter_read", before: str = "") -> str:
    lines = "\n".join(f"    {line}" for line in body)
    return f"{before}\nTRACEPOINT_PROBE(syscalls, {event})\n{{\n{lines}\n    return 0;\n}}\n"


def programs() -> Iterator[Program]:
    """Yield all of them."""
    for family in (_functions, _ends, _maps, _events, _methods, _language, _null, _limits, _globals, _accepted):
        yield from family()


_HASH = "BPF_HASH(calls, u32, u64);"


def _functions() -> Iterator[Program]:
    compare = 'char who[16]; bpf_get_current_comm(&who, sizeof(who)); char want[] = "python";'
    yield Program(
        "function-memcmp",
        probe(compare, f"if (memcmp(who, want, 7) == 0) {MARK}", '    bpf_trace_printk("p");'),
        "no function memcmp & letter by letter & !off its end",
    )
    apart = f"static noinline u64 half(u64 n) {MARK}\n{{\n    return n / 2;\n}}"
    yield Program(
        "function-noinline",
        probe("u32 k = half(bpf_ktime_get_ns());", "calls.increment(k);", before=f"{_HASH}\n{apart}"),
        "kept apart & take noinline away & !off its end",
    )
    calls = {
        "bpf_printk": ('bpf_printk("x");', "bpf_trace_printk"),
        "printf": ('printf("x");', "bpf_trace_printk"),
        "printk": ('printk("x");', "bpf_trace_printk"),
        "usleep": ("usleep(10);", "cannot wait"),
        "sleep": ("sleep(1);", "cannot wait"),
        "kmalloc": ("char *p = kmalloc(64, 0); bpf_probe_read_kernel(p, 8, (void *)1);", "PERCPU_ARRAY"),
        "getpid": ("u64 p = getpid();", "bpf_get_current_pid_tgid"),
        "rand": ("u64 p = rand();", "bpf_get_prandom_u32"),
        "time": ("u64 p = time(0);", "bpf_ktime_get_ns"),
        "gettid": ("u64 p = gettid();", "bpf_get_current_pid_tgid"),
        "getuid": ("u64 p = getuid();", "bpf_get_current_uid_gid"),
        "random": ("u64 p = random();", "bpf_get_prandom_u32"),
        "bpf_ktime_get": ("u64 p = bpf_ktime_get();", "bpf_ktime_get_ns"),
        "bpf_get_current_com": ("u64 p = bpf_get_current_com();", "bpf_get_current_comm"),
        "count_it": ("count_it();", "no function count_it"),
    }
    for name, (call, words) in calls.items():
        uses = ["u32 k = p;", "calls.increment(k);"] if call.startswith("u64 p") else []
        for event in _EVENTS[:2]:
            yield Program(
                f"function-{name}-{event}",
                probe(f"{call} {MARK}", *uses, event=event, before=_HASH),
                f"there is no function {name} & {words} & !off its end & !deeply",
            )


def _ends() -> Iterator[Program]:
    for kind in ("float", "double"):
        for expression in ("0.5", "1.5 * n", "n / 3.0"):
            yield Program(
                f"float-{kind}-{expression}",
                probe(
                    "u64 n = bpf_ktime_get_ns();",
                    f"{kind} f = n * ({expression}); {MARK}",
                    "u32 k = f;",
                    "calls.increment(k);",
                    before=_HASH,
                ),
                "floating point & integers & !smaller",
            )
    for kind in ("int", "long", "s64", "s32"):
        for operator in "/%":
            yield Program(
                f"signed-{kind}-{operator}",
                probe(
                    f"{kind} a = bpf_ktime_get_ns(), b = bpf_get_smp_processor_id() + 1;",
                    f"u32 k = a {operator} b; {MARK}",
                    "calls.increment(k);",
                    before=_HASH,
                ),
                "signed division & u64 & !smaller",
            )
    for count in (4, 5):
        values = ", ".join(["c"] * count)
        formats = " ".join(["%d"] * count)
        yield Program(
            f"print-{count}",
            probe("u32 c = bpf_get_smp_processor_id();", f'bpf_trace_printk("{formats}", {values}); {MARK}'),
            "three values & !smaller",
        )
    for kind in ("char", "u8", "u32"):
        yield Program(
            f"vla-{kind}",
            probe("int n = args->count & 31;", f"{kind} room[n]; {MARK}", "bpf_probe_read_user(room, n, args->buf);"),
            "constant & !smaller",
        )
    for size in (520, 600, 4096):
        yield Program(
            f"stack-{size}",
            probe(f"char room[{size}]; {MARK}", "bpf_probe_read_user(room, sizeof(room), args->buf);"),
            f"512 bytes & {size} bytes",
        )


def _maps() -> Iterator[Program]:
    declarations = {
        "hash-0": ("BPF_HASH(m, u32, u64, 0);", "0 entries"),
        "array-0": ("BPF_ARRAY(m, u64, 0);", "0 entries"),
        "percpu-0": ("BPF_PERCPU_ARRAY(m, u64, 0);", "0 entries"),
        "percpu-large": ("struct big { char b[40000]; };\nBPF_PERCPU_ARRAY(m, struct big, 1);", "40000 bytes & 32768"),
        "key-large": ("struct big { char b[600]; };\nBPF_HASH(m, struct big, u64);", "600 bytes & stack"),
        "array-huge": ("struct big { char b[4096]; };\nBPF_ARRAY(m, struct big, 4000000);", "16.4 GB"),
        "lru": ("BPF_LRU_HASH(m, u32, u64, 64);", r'BPF_TABLE\("lru_hash", u32, u64, m, 64\)'),
        "clash": ("BPF_HASH(m, u32, u64);\nBPF_HASH(m, u32, u64);", "two maps are named m"),
        **{f"ring-{n}": (f"BPF_RINGBUF_OUTPUT(m, {n});", f"{n} pages & power of two") for n in (3, 5, 6, 7, 12, 100)},
    }
    for name, (text, words) in declarations.items():
        yield Program(f"map-{name}", probe(before=f"{text} {MARK}"), f"{words} & !clang refused")


def _events() -> Iterator[Program]:
    misspelt = {
        "sys_enter_opena": "sys_enter_openat",
        "sys_enter_raed": "sys_enter_read",
        "sys_exit_wirte": "sys_exit_write",
        "sys_enter_getpid_": "sys_enter_getpid",
        "sys_enter_clsoe": "sys_enter_close",
        "syscall_enter_read": "sys_enter_read",
    }
    for wrong, right in misspelt.items():
        text = probe(event=wrong).replace(")\n{", f") {MARK}\n{{")
        yield Program(f"event-{wrong}", text, f"no tracepoint & did you mean {right}")
    for category, right in {"syscall": "syscalls", "sycalls": "syscalls", "kernel": "syscalls"}.items():
        text = probe().replace("(syscalls, sys_enter_read)", f"({category}, sys_enter_read) {MARK}")
        yield Program(f"category-{category}", text, f"no tracepoint & category {right}")
    fields = {
        ("sys_enter_read", "size"): "fd, buf, count",
        ("sys_enter_read", "coutn"): "did you mean count",
        ("sys_enter_openat", "flag"): "did you mean flags",
        ("sys_enter_openat", "path"): "dfd, filename, flags, mode",
        ("sys_exit_read", "count"): "belongs to sys_enter_read",
        ("sys_exit_openat", "filename"): "belongs to sys_enter_openat",
        ("sys_exit_write", "fd"): "belongs to sys_enter_write",
        ("sys_exit_read", "retval"): "did you mean ret",
    }
    for (event, field), words in fields.items():
        text = probe(f"u32 k = args->{field}; {MARK}", "calls.increment(k);", event=event, before=_HASH)
        yield Program(f"field-{event}-{field}", text, f"has no field {field} & {words} & !helpers\\.h")
    for field in ("fd", "count"):
        text = probe(f"u32 k = ctx->{field}; {MARK}", "calls.increment(k);", before=_HASH)
        yield Program(f"ctx-{field}", text, f"called args, not ctx & args->{field}")
    for field in ("id", "nr", "ret"):
        body = f"    if (ctx->{field} == 1) {MARK}\n        return 1;\n    return 0;\n"
        text = f"RAW_TRACEPOINT_PROBE(sys_enter)\n{{\n{body}}}\n"
        yield Program(f"raw-{field}", text, rf"no field {field} & ctx->args\[1\]")
    sections = {
        "tracepoint/syscalls/sys_enter_read": r"TRACEPOINT_PROBE\(syscalls, sys_enter_read\)",
        "tp/sched/sched_switch": r"TRACEPOINT_PROBE\(sched, sched_switch\)",
        "kprobe/vfs_read": r"kprobe__vfs_read\(struct pt_regs \*ctx\)",
        "kretprobe/vfs_read": r"kretprobe__vfs_read",
        "raw_tp/sys_enter": r"RAW_TRACEPOINT_PROBE\(sys_enter\)",
        "raw_tracepoint/sys_exit": r"RAW_TRACEPOINT_PROBE\(sys_exit\)",
    }
    for section, words in sections.items():
        text = f'SEC("{section}") {MARK}\nint mine(void *ctx)\n{{\n    return 0;\n}}\n'
        yield Program(f"libbpf-{section.replace('/', '-')}", text, f"libbpf & {words}")


def _methods() -> Iterator[Program]:
    for wrong, right in {
        "add": "increment",
        "get": "lookup",
        "set": "update",
        "incremnt": "increment",
        "remove": "delete",
    }.items():
        text = probe("u32 k = 1;", f"calls.{wrong}(&k); {MARK}", before=_HASH)
        yield Program(f"method-{wrong}", text, f"no method {wrong} & did you mean {right}")
    for statement, words in {
        "calls[k]++;": r"calls\.increment\(k\)",
        "calls[k] += 1;": r"calls\.increment\(k\)",
        "u64 *n = calls[k];": r"calls\.lookup\(&k\)",
        "calls[k] = 7;": r"calls\.lookup\(&k\)",
        "*calls.lookup(&k) += 1;": r"\*found = calls\.lookup\(&k\); if \(!found\) return 0; \*found \+= 1; \}",
    }.items():
        yield Program(f"subscript-{statement}", probe("u32 k = 1;", f"{statement} {MARK}", before=_HASH), words)
    for kind in ("u32", "u16", "u8", "int"):
        text = probe(
            f"{kind} id = bpf_get_smp_processor_id();",
            f"u64 *n = calls.lookup(&id); {MARK}",
            "if (n)",
            "    *n += 1;",
            before="BPF_HASH(calls, u64, u64);",
        )
        yield Program(f"key-{kind}", text, "key of calls has 8 bytes & id has", accepted=False)
    for kind in ("u32", "int", "u64"):
        text = probe(f"{kind} calls = 1;", f"calls.increment(calls); {MARK}", before=_HASH)
        yield Program(f"hidden-{kind}", text, "hides the map calls")


def _language() -> Iterator[Program]:
    for statement in ("u32 k = 1", "u32 k = args->fd", 'bpf_trace_printk("x")', "u64 t = bpf_ktime_get_ns()"):
        yield Program(f"semicolon-{statement}", probe(f"{statement} {MARK}"), "semicolon is missing")
    for quotes in ("“hello”", "‘h’"):
        yield Program(f"quotes-{quotes}", probe(f"bpf_trace_printk({quotes}); {MARK}"), "typographic quotes")
    for header in ("stdio.h", "stdlib.h", "string.h", "unistd.h"):
        yield Program(f"header-{header}", probe(before=f"#include <{header}> {MARK}"), f"no C library & {header}")
    for wrong, words in {
        "string": "no type string",
        "u46": "did you mean u64",
        "u23": "did you mean u32",
        "uint": "no type|did you mean",
    }.items():
        if wrong != "uint":
            yield Program(f"type-{wrong}", probe(f"{wrong} k = 1; {MARK}"), words)
    yield Program("comment-python", probe(before=f"# count the calls {MARK}"), "no comment in C & //")
    for names in ('"syscalls", "sys_enter_read"', '"syscalls", sys_enter_read'):
        text = f"TRACEPOINT_PROBE({names}) {MARK}\n{{\n    return 0;\n}}\n"
        yield Program(f"quoted-{names}", text, "no quotes")
    text = f"TRACEPOINT_PROBE(sys_enter_read) {MARK}\n{{\n    return 0;\n}}\n"
    yield Program("one-name", text, "category and its event")
    for value in ("NUL", "Ture"):
        yield Program(
            f"name-{value}",
            probe(f"u64 k = {value}; {MARK}", "u32 j = k;", "calls.increment(j);", before=_HASH),
            f"{value} is not declared",
        )
    for assignment in ("args->fd = 0", "args->count = 512", "args->fd = 1"):
        yield Program(
            f"assign-{assignment}",
            probe(f"if ({assignment}) {MARK}", '    bpf_trace_printk("x");'),
            "= stores, == compares",
        )


def _null() -> Iterator[Program]:
    uses = {
        "add": "*{p} += 1;",
        "read": "u32 j = *{p}; calls.increment(j);",
        "return": "return *{p};",
        "compare": 'if (*{p} > 3) bpf_trace_printk("x");',
        "field": "{p}->n += 1;",
    }
    tests = "BPF_HASH(a, u32, u64);\nBPF_HASH(b, u32, u64);"
    yield Program(
        "null-both",
        probe(
            "u32 k = 1; u64 *x = a.lookup(&k), *y = b.lookup(&k);",
            f"if (!x && !y) {MARK}",
            "    return 0;",
            "*x += *y;",
            before=tests,
        ),
        r"&& should be \|\| & !pointers do not have",
    )
    yield Program(
        "null-number",
        probe("u32 k = 1;", f"u64 n = calls.lookup(&k); {MARK}", "n = n + 1;", "calls.update(&k, &n);", before=_HASH),
        "lookup gives a pointer & u64 \\*n",
    )
    for name in ("n", "seen", "zähler", "value_of_k"):
        for use, text in uses.items():
            declared = (
                "struct row { u64 n; };\nBPF_HASH(rows, u32, struct row);\n"
                if use == "field"
                else "BPF_HASH(rows, u32, u64);\n"
            )
            kind = "struct row" if use == "field" else "u64"
            yield Program(
                f"null-{name}-{use}",
                probe(
                    "u32 k = 1;",
                    f"{kind} *{name} = rows.lookup(&k);",
                    f"{text.format(p=name)} {MARK}",
                    before=declared + _HASH,
                ),
                rf"NULL & if \(!{name}\) return 0; & Verified: this change passes",
            )


def _limits() -> Iterator[Program]:
    for size in (8, 10, 16, 24):
        rows = f"struct row {{ u64 n[{size}]; }};\nBPF_ARRAY(rows, struct row, 1);"
        head = ("int zero = 0;", "struct row *r = rows.lookup(&zero);", "if (!r)", "    return 0;")
        accepts = "Verified: this change passes & !&= & !>= N"
        for extra in (1, 9):
            yield Program(
                f"guard-{size}-{extra}",
                probe(
                    *head,
                    "u64 i = args->count;",
                    f"if (i >= {size + extra})",
                    "    return 0;",
                    f"r->n[i]++; {MARK}",
                    before=rows,
                ),
                f"allows i up to {size + extra - 1}, {size - 1} is the last & write i >= {size} & {accepts}",
            )
        yield Program(
            f"guard-over-{size}",
            probe(
                *head, "u64 at = args->count;", f"if (at > {size})", "    return 0;", f"r->n[at]++; {MARK}", before=rows
            ),
            f"allows at up to {size}, {size - 1} is the last & write at > {size - 1} & {accepts}",
        )
        yield Program(
            f"unguarded-{size}",
            probe(*head, "u64 slot = args->count;", f"r->n[slot]++; {MARK}", before=rows),
            rf"nothing limits slot & if \(slot >= {size}\) return 0; & {accepts}",
        )
    for size, made in ((16, "% 16"), (16, "& 15"), (24, "% 24")):
        yield Program(
            f"hidden-range-{size}-{made}",
            probe(
                f"char who[{size}] = {{}};",
                f"u32 i = bpf_get_prandom_u32() {made};",
                "bpf_get_current_comm(&who, sizeof(who));",
                f"return who[i]; {MARK}",
            ),
            rf"index i & if \(i >= {size}\) return 0; & Verified: this change passes",
        )
    for call in ("bpf_probe_read_user", "bpf_probe_read_user_str"):
        for order in ("args->filename, sizeof(name), name", "sizeof(name), name, args->filename"):
            yield Program(
                f"order-{call}-{order}",
                probe("char name[64];", f"{call}({order}); {MARK}", event="sys_enter_openat"),
                rf"another order & {call}\(name, sizeof\(name\), args->filename\) & Verified: this change passes",
            )
    for kind in ("int", "s32"):
        for size in (64, 128):
            chunk = f"struct chunk {{ char text[{size}]; }};\nBPF_PERCPU_ARRAY(chunks, struct chunk, 1);"
            yield Program(
                f"length-{kind}-{size}",
                probe(
                    "int zero = 0;",
                    "struct chunk *c = chunks.lookup(&zero);",
                    "if (!c)",
                    "    return 0;",
                    f"{kind} n = args->count;",
                    f"if (n > {size})",
                    "    return 0;",
                    f"bpf_probe_read_user(c->text, n, args->buf); {MARK}",
                    before=chunk,
                ),
                "n is signed & declare it as u64 & Verified: this change passes",
            )


def _globals() -> Iterator[Program]:
    for kind in ("u64", "int", "static u32", "static int", "long"):
        text = probe(f"seen += 1; {MARK}", before=f"{kind} seen;")
        yield Program(f"global-{kind}", text, r"no global variables & BPF_ARRAY\(seen & !NULL on this path")
    for kind in ("u32", "u64", "int"):
        table = f"static const {kind} limits[4] = {{1, 20, 300, 4000}};"
        text = probe(
            "u32 i = args->count & 3;", f"u32 k = limits[i]; {MARK}", "calls.increment(k);", before=f"{table}\n{_HASH}"
        )
        yield Program(f"table-{kind}", text, "leaves the table limits & !bpf_probe_read_kernel")
    text = probe(
        "u32 i = args->count & 3;",
        f"u32 k = word[i]; {MARK}",
        "calls.increment(k);",
        before=f'const char *word = "abcdef";\n{_HASH}',
    )
    yield Program("text", text, "leaves the text word")
    pair = "static int one(int n) { return n; }\nstatic int two(int n) { return n * 2; }"
    text = probe(
        f"int (*f)(int) = args->fd ? one : two; {MARK}",
        "u32 k = f(4);",
        "calls.increment(k);",
        before=f"{pair}\n{_HASH}",
    )
    yield Program("pointer-to-function", text, "calls through a pointer & !unknown opcode 8d\\.$")


def _accepted() -> Iterator[Program]:
    for value in ('"yes"', '"no"'):
        text = probe(f'bpf_trace_printk("%s", {value}); {MARK}')
        yield Program(f"literal-{value}", text, "string literal", accepted=True)
    for conversion in ("%f", "%c", "%i"):
        text = probe(f'bpf_trace_printk("{conversion}", 7); {MARK}')
        words = "before 5\\.13 print nothing" if conversion in ("%c", "%i") else "never prints"
        yield Program(f"format-{conversion}", text, words, accepted=True)
    for name in ("k", "class_of"):
        text = probe(f"u32 {name};", f"calls.increment({name}); {MARK}", before=_HASH)
        yield Program(f"unset-{name}", text, f"{name} may be used before it has a value", accepted=True)
    for name, body in {
        "count": "u32 k = 1; calls.increment(k);",
        "time": "u32 k = bpf_ktime_get_ns() / 1000; calls.increment(k);",
        "tested": "u32 k = 1; u64 *n = calls.lookup(&k); if (n) *n += 1;",
        "comm": "char who[16]; bpf_get_current_comm(&who, sizeof(who)); u32 k = who[0]; calls.increment(k);",
        "masked": "u32 k = args->count & 7; calls.increment(k);",
        "printed": 'bpf_trace_printk("%d %d %d", 1, 2, 3);',
    }.items():
        for event in ("sys_enter_read", "sys_enter_write"):
            yield Program(f"right-{name}-{event}", probe(body, event=event, before=_HASH), "", accepted=True)
