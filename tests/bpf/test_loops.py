# SPDX-License-Identifier: Apache-2.0
"""Loops that clang would work on for minutes are named, at their line; a clang that works too long is stopped."""

from __future__ import annotations

from time import monotonic

import pytest

from labkit.bpf.diagnose import loops
from labkit.bpf.diagnose.code import Code
from labkit.bpf.rehearse import rehearse
from labkit.errors import CompileError

HEAD = "#define MANY 200000\nint count(void *ctx)\n{\n\tu64 sum = 0;\n\tint i = 0;\n"
LONG = (
    "u64 f(u64 sum) {\n#pragma unroll\n\tfor (int i = 0; i < 30000; i++)\n\t\tsum = sum * 31 + i;\n\treturn sum;\n}\n"
)


@pytest.mark.parametrize(
    ("loop", "rounds"),
    [
        ("#pragma unroll\n\tfor (int j = 0; j < 200000; j++)\n\t\tsum += j;", "200,000"),
        ("#pragma unroll\n\tfor (int j = 0; j < MANY; j++)\n\t\tsum += j;", "200,000"),
        ("#pragma unroll\n\tfor (int j = 200000; j > 0; j--)\n\t\tsum += j;", "200,000"),
        ("#pragma unroll\n\tfor (int j = 0; j != MANY; ++j) {\n\t\tsum += j;\n\t}", "200,000"),
        ("#pragma clang loop unroll(full)\n\twhile (i < MANY) {\n\t\tsum += i++;\n\t}", "200,000"),
        (
            "#pragma unroll\n\tfor (i = 0; i < 500; i++)\n"
            "#pragma unroll\n\t\tfor (int j = 0; j < 500; j++)\n\t\t\tsum += j;",
            "250,000",
        ),
        ("#pragma unroll 150000\n\tfor (int j = 0; j < MANY; j++)\n\t\tsum += j;", "150,000"),
        ("#pragma unroll 8\n\tfor (int j = 0; j < MANY; j++)\n\t\tsum += j;", ""),
        ("#pragma clang loop unroll(disable)\n\tfor (int j = 0; j < MANY; j++)\n\t\tsum += j;", ""),
        ("#pragma nounroll\n\tfor (int j = 0; j < MANY; j++)\n\t\tsum += j;", ""),
        ("#pragma unroll\n\tfor (int j = 0; j < 64; j++)\n\t\tsum += j;", ""),
        ("#pragma unroll\n\tfor (int j = 0; j < sum; j++)\n\t\tsum += j;", ""),
        ("for (int j = 0; j < MANY; j++)\n\t\tsum += j;", ""),
    ],
)
def test_a_loop_that_nobody_waits_for_is_refused_before_clang(loop: str, rounds: str) -> None:
    found = [finding.what for finding in loops.endless(Code(f"{HEAD}\t{loop}\n\treturn sum;\n}}\n"))]
    assert found == ([f"`#pragma unroll` asks clang to write out this loop {rounds} times"] if rounds else [])


@pytest.mark.bpf
def test_a_clang_that_works_too_long_is_stopped_and_the_loop_is_named() -> None:
    begin = monotonic()
    with pytest.raises(CompileError) as raised:
        rehearse(LONG, [], cpu_s=1)
    assert monotonic() - begin < 60
    found = loops.stopped(Code(LONG), raised.value)
    assert found.what.startswith("clang was stopped: it worked for more than the ")
    assert "to write out a loop 30,000 times" in found.what
    assert (found.line, found.edits) == (2, {2: ""})
    assert "macros in macros" in loops.stopped(Code("int one;"), raised.value).fix
