# SPDX-License-Identifier: Apache-2.0
"""clang 16 and later (BCC 0.31 of Debian 13) refuse what clang 14 warns of; the answers are the same."""

from __future__ import annotations

import pytest

from labkit.bpf.diagnose import clang
from labkit.bpf.diagnose.code import Code
from labkit.bpf.diagnose.said import Said, in_file

TEXT = """// %%bpf cell
BPF_HASH(calls, u64, u64);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
    bpf_printk("seen");
    u32 id = 1;
    u64 n = calls.lookup(&id);
    return 0;
}
"""
STANDARD = "ISO C99 and later do not support implicit function declarations [-Wimplicit-function-declaration]"
ANSWERS = {
    f"5 call to undeclared function 'bpf_printk'; {STANDARD}": "no function bpf_printk",
    f"5 call to undeclared library function 'printf' with type 'int (...)'; {STANDARD}": "no function printf",
    "6 incompatible integer to pointer conversion passing 'u64' to parameter of type 'u32 *'": "address of a variable",
    "7 incompatible pointer to integer conversion initializing 'u64' (aka 'unsigned long long') with an expression of "
    "type 'u64 *' (aka 'unsigned long long *'); dereference with * [-Wint-conversion]": "lookup gives a pointer",
}


@pytest.mark.parametrize("words", ANSWERS)
def test_an_error_that_was_a_warning_has_the_same_answer(words: str) -> None:
    line, _, said = words.partition(" ")
    found = clang.error([Said("error", int(line), 0, said)], Code(TEXT))
    assert found is not None and found.line == int(line)
    assert ANSWERS[words] in found.what


def test_the_line_that_clang_quotes_may_have_a_number_before_it() -> None:
    said = "cell.c:9:1: warning: non-void function does not return a value [-Wreturn-type]\n    9 | }\n      | ^\n"
    (found,) = in_file(said, "cell.c", Code(TEXT))
    assert (found.line, found.column) == (9, 1)
