# SPDX-License-Identifier: Apache-2.0
"""Try a right program and several wrong ones on an exercise, all from one C text that is compiled once.

The text asks `variant()` at run time: 0 is right, each other number is one typical mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from labkit.bpf.cell import Cell
from labkit.running.judgement import Judgement

VARIANT = """
BPF_ARRAY(labkit_variant, u32, 1);	/* named as the lab's own, so that a trial does not empty it */
static __always_inline u32 variant(void)
{
	int first = 0;
	u32 *number = labkit_variant.lookup(&first);

	return number ? *number : 0;
}
"""


def judged(
    judge: Callable[[object], Judgement], folder: Path, text: str, wrong: int, *, before: str = ""
) -> list[Judgement]:
    """Assert that variant 0 is right three times; return what is said of the wrong variants, 1 to `wrong`.

    Parameters
    ----------
    text : C, behind #include "labkit.h" and `VARIANT`; `before` is what comes before them.
    """
    path = folder / "tried.c"
    path.write_text(f'{before}\n#include "labkit.h"\n{VARIANT}\n{text}', encoding="utf-8")
    with Cell(path) as program:
        if any(name.startswith("tracepoint__") for name in program.functions):
            program.attach()
        for _ in range(3):
            told = judge(program)
            assert told.ok, told
        answers = []
        for number in range(1, wrong + 1):
            program.set("labkit_variant", 0, number)
            answers.append(judge(program))
    assert not any(each.ok for each in answers), answers
    return answers


def cases(answers: list[Judgement]) -> list[str]:
    """Return in which case each wrong program was refused; assert that each has a hint of its own."""
    assert len({each.hint for each in answers}) == len(answers), answers
    return [each.case for each in answers]
