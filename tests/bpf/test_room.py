# SPDX-License-Identifier: Apache-2.0
"""Older kernels walk more paths of a program than newer ones: the lab's own stay far below the verifier's limit.

Linux 5.10 refused a program after 1,000,000 instructions of which 6.18 looked at 246,000.
"""

from __future__ import annotations

import pytest

from labkit.bpf.diagnose.code import Code
from labkit.bpf.proginfo import facts
from labkit.bpf.program import Program

pytestmark = pytest.mark.bpf

MOST_INSTRUCTIONS = 10_000  # looked at by this kernel; the limit is a million
LARGE = (
    "capstone",
    "io_engines",
    "your_program_calls",
    "your_program_stacks",
    "your_program_tcp",
)  # with loops, or long


@pytest.mark.parametrize("name", LARGE)
def test_the_verifier_looks_at_few_instructions(name: str) -> None:
    with Program(name) as program:
        looked_at = {function: facts(fd).verified_instructions for function, fd in program.load().items()}
    if not any(looked_at.values()):
        pytest.skip("this kernel does not say how many instructions it looked at (Linux 5.16 and later do)")
    assert {function: number for function, number in looked_at.items() if number > MOST_INSTRUCTIONS} == {}


def test_an_if_is_no_function() -> None:
    code = Code("int f(void *ctx)\n{\n\tif (a) {\n\t} else if (b) {\n\t\tc(if (d));\n\t}\n\twhile (e) {\n\t}\n}\n")
    assert list(code.functions) == ["f"]
