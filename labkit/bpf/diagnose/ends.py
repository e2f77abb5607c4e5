# SPDX-License-Identifier: Apache-2.0
"""The table of what ends clang: BPF's instructions lack something that the C asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from labkit.bpf.diagnose import edits
from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.edits import Edit

__all__ = ["End", "how_it_ended"]


@dataclass(frozen=True)
class End:
    """One way to end clang: its words, what they mean, the fix, and how to find the line where clang names none."""

    says: str
    means: str
    fix: str
    line: Callable[[Code], int | None] = lambda code: None
    only: str = ""  # a pattern that the program must have
    edit: Callable[[Code, int], Edit] = lambda code, line: None  # the fix as an edit of that line


def _line(pattern: str) -> Callable[[Code], int | None]:
    def find(code: Code) -> int | None:
        lines = {code.line_at(found.start()) for found in re.finditer(pattern, code.bare)}
        return lines.pop() if len(lines) == 1 else None

    return find


def _variable_array(code: Code) -> int | None:
    constants = set(re.findall(r"#\s*define\s+(\w+)|enum\s*\{([^}]*)\}", code.bare))
    names = {name for pair in constants for part in pair for name in re.findall(r"\w+", part)}
    for found in re.finditer(r"\b\w+\s+\w+\s*\[\s*([^\]]*[A-Za-z_][^\]]*)\]\s*;", code.bare):
        if not re.search(r"\bsizeof\b", found[1]) and not set(re.findall(r"[A-Za-z_]\w*", found[1])) <= names:
            return code.line_at(found.start())
    return None


ENDS: tuple[End, ...] = (
    End(
        r"built-in function '__\w*(?:[sdt]f|float|fix)\w*'",
        "log2 is a function for floating point, which the kernel does not have",
        "write bpf_log2l(n): the number of the highest bit",
        _line(r"\blog2[fl]?\s*\("),
        only=r"(?<!_)\blog2[fl]?\s*\(",
        edit=edits.log2_of_integers,
    ),
    End(
        r"built-in function '__\w*(?:[sdt]f|float|fix)\w*'",
        "the kernel has no floating point",
        "use integers: multiply first, and divide in Python",
        edit=edits.whole_numbers,
    ),
    End(
        r"built-in function 'memset'",
        "this block is too large for one memset: BPF has no such function to call",
        "clear it in a loop of 8-byte words through a volatile u64 *, or write only what is used",
        _line(r"memset\s*\("),
        edit=edits.cleared_in_a_loop,
    ),
    End(
        r"built-in function 'mem(?:cpy|move)'",
        "a block is copied whose size is not a small constant: BPF has no such function to call",
        "copy a constant number of bytes (1024 at most), or use bpf_probe_read_kernel(to, n, from)",
        _line(r"mem(?:cpy|move)\s*\("),
        edit=edits.copied_whole,
    ),
    End(
        r"built-in function '(?:__multi3|__u?divti3|__u?modti3)'",
        "numbers of 128 bits are not in BPF",
        "use u64",
    ),
    End(
        r"Unsupport\w* signed division|= sdiv |= srem ",
        "BPF has no signed division (% divides, too)",
        "make both operands u32 or u64",
        edit=edits.unsigned,
    ),
    End(
        r"Unsupported atomic operations, please use 64 bit version",
        "this atomic operation is for numbers of 64 bits",
        "declare the number as u64",
        edit=lambda code, line: edits.wider_member(code, line, "u64"),
    ),
    End(
        r"Unsupported atomic operations",
        "atomic operations are for numbers of 32 and 64 bits",
        "declare the number as u32 or u64",
        edit=lambda code, line: edits.wider_member(code, line, "u32"),
    ),
    End(
        r"Unsupported dynamic stack allocation|dynamic_stackalloc",
        "the size of an array has to be a constant",
        "give it a fixed size: char text[64];",
        _variable_array,
    ),
    End(
        r"too many args to|too many arguments",
        "the call has more arguments than the five that BPF passes: bpf_trace_printk takes three values at most",
        "print fewer values in one call, or pass one pointer to a struct",
    ),
    End(
        r"inline asm|constraint|invalid register|asm\b",
        "current is read with an instruction of the CPU that BPF does not have",
        "write struct task_struct *task = (struct task_struct *)bpf_get_current_task(); and use task",
        _line(r"\bcurrent\s*->"),
        only=r"\bcurrent\s*->",
    ),
    End(
        r"inline asm|constraint|invalid register|asm\b",
        "this is assembler for another machine",
        "use a helper instead: bpf_ktime_get_ns() for the time, bpf_get_smp_processor_id() for the CPU",
        _line(r"\basm\b|__asm__"),
    ),
)


def how_it_ended(said: str, code: Code) -> tuple[End, int | None] | None:
    """Return which way clang ended, and the line if the program shows it; None for an unknown one."""
    for end in ENDS:
        if re.search(end.says, said, re.IGNORECASE) and re.search(end.only, code.bare):
            return end, end.line(code)
    return None
