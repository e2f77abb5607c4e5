# SPDX-License-Identifier: Apache-2.0
"""Functions that learners call and BPF does not have, and what to write instead."""

from __future__ import annotations

from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.events import helpers, near

__all__ = ["REPLACED", "left_call", "missing", "nearest"]

# a call without arguments -> the expression that gives what its name says
REPLACED = {
    "bpf_get_current_pid": "(bpf_get_current_pid_tgid() >> 32)",
    "bpf_get_current_tgid": "(bpf_get_current_pid_tgid() >> 32)",
    "bpf_get_current_tid": "(u32)bpf_get_current_pid_tgid()",
    "bpf_get_current_uid": "(u32)bpf_get_current_uid_gid()",
    "bpf_get_current_gid": "(bpf_get_current_uid_gid() >> 32)",
    "bpf_ktime_get_us": "(bpf_ktime_get_ns() / 1000)",
    "bpf_ktime_get_ms": "(bpf_ktime_get_ns() / 1000000)",
    "bpf_ktime_get_s": "(bpf_ktime_get_ns() / 1000000000)",
    "bpf_ktime_get_sec": "(bpf_ktime_get_ns() / 1000000000)",
    "getpid": "(bpf_get_current_pid_tgid() >> 32)",
    "gettid": "(u32)bpf_get_current_pid_tgid()",
    "getuid": "(u32)bpf_get_current_uid_gid()",
    "rand": "bpf_get_prandom_u32()",
    "random": "bpf_get_prandom_u32()",
}

_INSTEAD = {
    "printf": 'write bpf_trace_printk("…")',
    "bpf_printk": 'BCC spells it bpf_trace_printk("…")',
    "printk": 'write bpf_trace_printk("…")',
    "malloc": "use a variable on the stack (512 bytes at most), or a BPF_PERCPU_ARRAY of one entry",
    "calloc": "use a variable on the stack (512 bytes at most), or a BPF_PERCPU_ARRAY of one entry",
    "kmalloc": "use a variable on the stack (512 bytes at most), or a BPF_PERCPU_ARRAY of one entry",
    "free": "nothing is to be freed: the stack ends with the program, a map stays",
    "sleep": "a probe cannot wait: note the time, and let the next event continue",
    "usleep": "a probe cannot wait: note the time, and let the next event continue",
    "nanosleep": "a probe cannot wait: note the time, and let the next event continue",
    "msleep": "a probe cannot wait: note the time, and let the next event continue",
    "udelay": "a probe cannot wait: note the time, and let the next event continue",
    "mdelay": "a probe cannot wait: note the time, and let the next event continue",
    "schedule": "a probe cannot wait: note the time, and let the next event continue",
    "getpid": "write bpf_get_current_pid_tgid() >> 32",
    "gettid": "write (u32)bpf_get_current_pid_tgid()",
    "getuid": "write (u32)bpf_get_current_uid_gid()",
    "time": "write bpf_ktime_get_ns()",
    "clock_gettime": "write bpf_ktime_get_ns()",
    "rand": "write bpf_get_prandom_u32()",
    "random": "write bpf_get_prandom_u32()",
    "exit": "write return 0;",
    "memcpy": "write __builtin_memcpy(to, from, size) with a constant size",
    "memset": "write __builtin_memset(to, 0, size) with a constant size",
    **dict.fromkeys(
        ("strcmp", "strncmp", "memcmp", "strstr"),
        "compare letter by letter: if (a[0] == 'p' && a[1] == 'y' && a[2] == 0)",
    ),
    **dict.fromkeys(
        ("strlen", "strcpy", "strncpy"),
        "bpf_probe_read_user_str() copies a text of the process, and returns its length with the 0 at its end; "
        "bpf_probe_read_kernel_str() a text of the kernel",
    ),
    **dict.fromkeys(("sprintf", "snprintf"), "send the numbers to Python, and make the text there"),
}
# functions of other tools, and of other parts of BCC
_BY_OTHERS = {
    "str": (
        "str() is a function of bpftrace",
        "copy the text: char text[64]; bpf_probe_read_user_str(text, sizeof(text), args->filename);",
    ),
    **dict.fromkeys(
        ("count", "sum"),
        ("this is a function of bpftrace", "use a map: BPF_HASH(calls, u32, u64); and calls.increment(key)"),
    ),
    **dict.fromkeys(
        ("hist", "lhist"),
        (
            "this is a function of bpftrace",
            "use a map: BPF_HISTOGRAM(dist); above the probe, and dist.increment(bpf_log2l(value)); in it",
        ),
    ),
    **dict.fromkeys(
        ("avg", "stats"),
        (
            "this is a function of bpftrace",
            "count and add up in two maps, and divide in Python: calls.increment(key); total.increment(key, value);",
        ),
    ),
    **dict.fromkeys(
        ("atomic_inc", "atomic_add", "atomic64_inc", "atomic64_add", "atomic_fetch_add"),
        ("the kernel's atomic functions are not in BPF", "write __sync_fetch_and_add(pointer, 1)"),
    ),
}


def left_call(code: Code) -> tuple[int, str] | None:
    """Return the line and the name of the first call of a function of which BPF has nothing but a declaration."""
    names = "|".join(sorted(_INSTEAD.keys() - code.functions.keys()))
    found = code.find(rf"(?<![\w.>])({names})\s*\(")
    return (found[0], found[1][1]) if found else None


def nearest(name: str, code: Code) -> str:
    """Return the function that is meant by a name: the same one in BCC, or the one that is spelled most like it."""
    if name in ("printf", "bpf_printk", "printk"):
        return "bpf_trace_printk"
    return "" if name in _INSTEAD else near(name, [*code.functions, *helpers(), "bpf_trace_printk"], 0.6)


def missing(name: str, code: Code) -> tuple[str, str] | None:
    """Return (what is wrong, the fix) of a call of a function that is not declared."""
    if name in _INSTEAD:
        return f"there is no function {name} in BPF", _INSTEAD[name]
    if name in _BY_OTHERS:
        return _BY_OTHERS[name]
    if name in REPLACED:
        return f"there is no function {name} in BPF", f"write {REPLACED[name]}"
    if name.startswith("labkit_"):
        return f"{name} is a function of the lab's header", 'add #include "labkit.h" above the probe'
    if any(each.macro == name for each in code.maps):
        return None
    listed = helpers()
    if name in listed:
        return (
            f"this BCC does not know the helper {name}",
            "use another helper; docs/kernels.md names the BCC of each system",
        )
    close = nearest(name, code)
    hint = (
        f"the nearest name is {close}" if close else "see bpf-helpers(7) for what there is, or define it in this cell"
    )
    return f"there is no function {name} in BPF", hint
