# SPDX-License-Identifier: Apache-2.0
"""Programs as learners type them, one mistake or two in each; the line of the mistake is marked."""

from __future__ import annotations

from collections.abc import Iterator

from families import MARK, Program, probe

__all__ = ["typed"]

_COUNT = "BPF_HASH(count, u32, u64);"
_PID = "u32 pid = bpf_get_current_pid_tgid() >> 32;"
_ROWS = "struct row { u64 n[8]; };\nBPF_ARRAY(rows, struct row, 1);"
_ROW = ("int zero = 0;", "struct row *r = rows.lookup(&zero);", "if (!r) return 0;")
_RING = "BPF_RINGBUF_OUTPUT(events, 8);\nstruct event { u32 pid; u64 ts; };"
_RESERVE = "struct event *e = events.ringbuf_reserve(sizeof(*e));"
_PASSES = "Verified: this change passes"


def typed() -> Iterator[Program]:
    """Yield them."""
    for family in (_maps, _rings, _sizes, _indices, _names, _kernel, _spellings, _memory, _more):
        yield from family()


def _maps() -> Iterator[Program]:
    yield Program(
        "typed-lookup-by-value",
        probe(_PID, f"u64 *val = count.lookup(pid); {MARK}", "if (val) (*val)++;", before=_COUNT),
        rf"first argument of count\.lookup & count\.lookup\(&pid\) & {_PASSES}",
    )
    yield Program(
        "typed-update-by-value",
        probe(_PID, "u64 *val = count.lookup(&pid);", f"if (!val) count.update(&pid, 1); {MARK}", before=_COUNT),
        r"second argument of count\.update & u64 copy = 1; count\.update\(&pid, &copy\)",
    )
    for text in ("count[pid] = count[pid] + args->count;", "count[pid] += args->count;"):
        yield Program(
            f"typed-add-{text}",
            probe(_PID, f"{text} {MARK}", before=_COUNT),
            rf"count\.increment\(pid, args->count\) & {_PASSES}",
        )
    loop = ("int i;", "for (i = 0; i <= 4; i++) {", "u64 *t = totals.lookup(&i);", f"*t += 1; {MARK}", "}")
    yield Program(
        "typed-counter-as-key",
        probe(*loop, before="BPF_ARRAY(totals, u64, 4);"),
        rf"NULL & if \(!t\) return 0; & u32 copy = i; & {_PASSES}",
    )
    loop = ("int i;", f"for (i = 0; i <= 4; i++) {{ {MARK}", "u64 *t = totals.lookup(&i);", "if (t) *t += 1;", "}")
    yield Program(
        "typed-counter-given-away",
        probe(*loop, before="BPF_ARRAY(totals, u64, 4);"),
        rf"address of the counter i & u32 copy = i; & {_PASSES}",
    )


def _rings() -> Iterator[Program]:
    yield Program(
        "typed-submit-without-flags",
        probe(_RESERVE, "if (!e) return 0;", "e->pid = 1;", f"events.ringbuf_submit(e); {MARK}", before=_RING),
        rf"too few arguments & events\.ringbuf_submit\(e, 0\) & {_PASSES}",
    )
    yield Program(
        "typed-held-at-a-return",
        probe(
            f"{_RESERVE} {MARK}",
            "if (!e) return 0;",
            "e->pid = bpf_get_current_pid_tgid() >> 32;",
            "if (e->pid == 1)",
            "    return 0;",
            "events.ringbuf_submit(e, 0);",
            before=_RING,
        ),
        rf"still held at the return & ringbuf_discard\(e, 0\) & {_PASSES}",
    )
    yield Program(
        "typed-perf-by-ctx",
        probe(
            "struct event e = {};",
            f"events.perf_submit(ctx, &e, sizeof(e)); {MARK}",
            before="BPF_PERF_OUTPUT(events);\nstruct event { u32 pid; };",
        ),
        rf"called args, not ctx & {_PASSES}",
    )


def _sizes() -> Iterator[Program]:
    read = "bpf_probe_read_user(buf, len, (void *)args->buf);"
    show = 'bpf_trace_printk("%s", buf);'
    for kind, why in (("u32", "32 bits of len"), ("int", "signed")):
        yield Program(
            f"typed-clamped-{kind}",
            probe("char buf[64];", f"{kind} len = args->count;", "if (len > 64) len = 64;", f"{read} {MARK}", show),
            rf"{why} & u64 len & {_PASSES}",
        )
    yield Program(
        "typed-size-of-the-call",
        probe("char buf[64];", f"bpf_probe_read_user(buf, args->count, (void *)args->buf); {MARK}", show),
        rf"nothing limits the size args->count & buf has 64 bytes & {_PASSES}",
    )
    yield Program(
        "typed-too-many-bytes",
        probe("char who[16];", f"bpf_probe_read_user(&who, 32, args->buf); {MARK}", "return who[0];"),
        rf"writes 32 bytes into who, which has 16 & sizeof\(who\) & {_PASSES}",
    )


def _indices() -> Iterator[Program]:
    yield Program(
        "typed-one-too-far",
        probe(*_ROW, "u32 i = args->fd;", "if (i > 8) return 0;", f"r->n[i]++; {MARK}", before=_ROWS),
        rf"allows i up to 8, 7 is the last & declare i as u64 & ^In bytes +allowed & ^The weak test & {_PASSES}",
    )
    yield Program(
        "typed-signed-index",
        probe(*_ROW, "int i = args->fd;", "if (i < 8)", f"    r->n[i]++; {MARK}", before=_ROWS),
        rf"i is signed & above only & declare i as u64 & {_PASSES}",
    )


def _names() -> Iterator[Program]:
    yield Program(
        "typed-comm-len",
        probe(f"char comm[TASK_COMM_LEN]; {MARK}", "bpf_get_current_comm(&comm, sizeof(comm));", "return comm[0];"),
        rf"it is 16 & !u64 TASK_COMM_LEN & {_PASSES}",
    )
    yield Program(
        "typed-no-such-constant",
        probe(f"if (args->count > LIMIT) return 1; {MARK}"),
        "LIMIT is not declared & #define LIMIT & !u64 LIMIT",
    )


def _kernel() -> Iterator[Program]:
    yield Program(
        "typed-current",
        probe(f"u32 k = current->pid; {MARK}", "count.increment(k);", before=f"#include <linux/sched.h>\n{_COUNT}"),
        "current is read with an instruction of the CPU & bpf_get_current_task & !another machine",
    )
    yield Program(
        "typed-state",
        probe(
            "struct task_struct *t = (struct task_struct *)bpf_get_current_task();",
            f"u32 k = t->tgdi; {MARK}",
            "count.increment(k);",
            before=_COUNT,
        ),
        rf"this kernel's struct task_struct has no field tgdi & did you mean tgid & {_PASSES}",
    )


def _spellings() -> Iterator[Program]:
    body = "{\n    return 0;\n}\n"
    yield Program(
        "typed-small-letters",
        f"tracepoint_probe(syscalls, sys_enter_openat) {MARK}\n{body}",
        rf"no tracepoint_probe & write TRACEPOINT_PROBE & {_PASSES}",
    )
    for names in ("syscalls:sys_enter_openat", "sys_enter_openat"):
        yield Program(
            f"typed-names-{names}",
            f"TRACEPOINT_PROBE({names}) {MARK}\n{body}",
            rf"two names & TRACEPOINT_PROBE\(syscalls, sys_enter_openat\) & {_PASSES}",
        )
    yield Program(
        "typed-no-semicolons",
        f"BPF_HASH(count, u32, u64) {MARK}\n" + probe("u32 k = 1;", "count.increment(k)", "return 1"),
        rf"semicolon is missing & \+ +\d+ \|     return 1; & {_PASSES}",
    )
    yield Program(
        "typed-open-block",
        "TRACEPOINT_PROBE(syscalls, sys_enter_read) {\n    if (args->fd) {\n        return 1;\n    return 0;\n"
        f"}} {MARK}\n",
        "block that begins in line 3 is not closed",
    )
    yield Program(
        "typed-struct-below",
        f"BPF_HASH(count, struct key, u64); {MARK}\nstruct key {{ u32 pid; u32 cpu; }};\n"
        + probe("struct key k = {};", "count.increment(k);"),
        rf"struct key is used here & \(line 3\) & {_PASSES}",
    )
    yield Program(
        "typed-assigned-null",
        probe("u32 k = 1;", "u64 *v = count.lookup(&k);", f"if (v = NULL) return 0; {MARK}", "(*v)++;", before=_COUNT),
        rf"= stores, == compares & v == NULL & !off its end & {_PASSES}",
    )


def _memory() -> Iterator[Program]:
    key = "struct key { u32 pid; u64 at; };\nBPF_HASH(count, struct key, u64);"
    yield Program(
        "typed-padded-key",
        probe(f"struct key k; {MARK}", "k.pid = 1;", "k.at = 2;", "count.increment(k);", before=key),
        r"4 bytes of padding & struct key k = \{\}",
        accepted=True,
    )
    yield Program(
        "typed-cleared-key",
        probe("struct key k = {};", "k.pid = 1;", "count.increment(k);", before=key),
        "",
        accepted=True,
    )
    yield Program(
        "typed-static",
        probe("static u64 total = 0;", f"total += args->count; {MARK}"),
        r"no global variables & BPF_ARRAY\(total, u64, 1\) & !NULL on this path",
    )
    yield Program(
        "typed-letters-of-a-name",
        probe(
            "for (int i = 0; i < 100; i++) {",
            f"if (args->filename[i] == 0) break; {MARK}",
            "count.increment(i);",
            "}",
            event="sys_enter_openat",
            before="BPF_HASH(count, int, u64);",
        ),
        rf"address of the process & bpf_probe_read_user\(&letter & {_PASSES}",
    )
    yield Program(
        "typed-index-in-a-struct",
        probe(
            "u32 k = 1;",
            "struct st *s = kept.lookup(&k);",
            "if (!s) return 0;",
            f"s->v[s->n] = args->count; {MARK}",
            before="#define MOST 10\nstruct st { u32 n; u32 v[MOST]; };\nBPF_HASH(kept, u32, struct st);",
        ),
        rf"index s->n may leave v\[10\] & if \(at >= 10\) return 0; & {_PASSES}",
    )
    yield Program(
        "typed-last-letter",
        probe(
            "char name[256];",
            "int n = bpf_probe_read_user_str(name, sizeof(name), args->filename);",
            f"return name[n - 1]; {MARK}",
            event="sys_enter_openat",
        ),
        rf"n may be less than 1 & u64 at = n - 1; & {_PASSES}",
    )
    yield Program(
        "typed-timespec",
        probe(
            "struct __kernel_timespec *ts = args->rqtp;",
            f"return ts->tv_sec; {MARK}",
            event="sys_enter_nanosleep",
        ),
        r"fields of struct __kernel_timespec & #include <uapi/linux/time_types\.h>",
    )


def _more() -> Iterator[Program]:
    yield Program(
        "typed-semicolon-within",
        f"static inline int big(u64 n) {{ return n > 9 }} {MARK}\n" + probe("return big(args->count);"),
        rf"semicolon is missing in this line & return n > 9; & {_PASSES}",
    )
    yield Program(
        "typed-short-name",
        probe("u32 k = 1;", f"count.increment(kk); {MARK}", before=_COUNT),
        rf"kk is not declared & did you mean k\? & {_PASSES}",
    )
    yield Program(
        "typed-open-bracket",
        probe("u32 k = 1;", "if (k == 1", f"    count.increment(k); {MARK}", before=_COUNT),
        rf"is not closed & {_PASSES}",
    )
    for text in ("from bcc import BPF", 'b = BPF(text="""'):
        yield Program(f"typed-python-{text}", f"{text} {MARK}\n" + probe(), "Python program & C alone")
    yield Program(
        "typed-log2",
        probe(f"u32 k = log2(args->count); {MARK}", "count.increment(k);", before=_COUNT),
        r"log2 is a function for floating point & bpf_log2l\(n\)",
    )
    for name in ("$PID", "FILTER_PID"):
        yield Program(
            f"typed-{name}",
            probe(_PID, f"if (pid == {name}) count.increment(pid); {MARK}", before=_COUNT),
            rf"--define {name.lstrip('$')}=",
        )
    yield Program(
        "typed-many-rounds",
        probe(
            f"for (int i = 0; i < 10000000; i++) {{ {MARK}", "u32 k = i & 7;", "count.increment(k);", "}", before=_COUNT
        ),
        rf"10,000,000 rounds & i < 500 & {_PASSES}",
    )
    yield Program(
        "typed-registers-unknown",
        f"{_COUNT}\nint kretprobe__vfs_read(struct pt_regs *ctx)\n{{\n    u32 k = PT_REGS_RC(ctx); {MARK}\n"
        "    count.increment(k);\n    return 0;\n}\n",
        r"struct pt_regs are not known here & #include <uapi/linux/ptrace\.h>",
    )
    crlf = probe("u32 k = 1;", "u64 *n = count.lookup(&k);", f"*n += 1; {MARK}", before=_COUNT)
    yield Program("typed-crlf", crlf.replace("\n", "\r\n"), rf"NULL & if \(!n\) return 0; & {_PASSES}")
