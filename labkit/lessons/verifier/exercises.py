# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 03. Only the verifier or a fixed program gives away what they drew at random."""

from __future__ import annotations

import random

from labkit.bpf.text import BPF_FOLDER
from labkit.bpf.verifier.explain import Verdict
from labkit.errors import check_int
from labkit.lessons._judge.tool import watcher
from labkit.lessons.verifier.gallery import GALLERY, judge, judge_file
from labkit.running import truths
from labkit.running.workload import Workload

__all__ = ["UNNAMED", "log_of_a_mask", "log_without_a_name", "open_files", "row_of_secret_size"]

_ROW = BPF_FOLDER / "verifier_row.c"
# exhibits whose log states the cause
UNNAMED = (
    "null_test",
    "past_value",
    "no_result",
    "unbounded_loop",
    "not_submitted",
    "foreign_address",
    "context_written",
    "wrong_helper",
    "no_licence",
)


def log_of_a_mask() -> str:
    """Return the log of a program that moves a pointer by a masked index; exercise 03-q1 asks how far it may reach."""
    bits = random.SystemRandom().randint(3, 9)
    mask = (1 << bits) - 1
    log = judge_file(_ROW, [f"CELLS={mask // 2}", f"INDEX_MASK={mask}"]).log
    truths.expect("03-q1", 8 * mask)
    return log


def row_of_secret_size(limit: int) -> Verdict:
    """Load a program that uses the indices below `limit` on a row of secret size; exercise 03-q2 asks for the size.

    Parameters
    ----------
    limit : the index is tested against this, 1 to 1000. The size stays the same until the process ends.
    """
    limit = check_int("limit", limit, 1, 1000)
    try:
        cells = truths.expected("03-q2")
    except truths.Unknown:
        cells = random.SystemRandom().randint(17, 199)
    told = judge_file(_ROW, [f"CELLS={cells}", f"LIMIT={limit}"])
    truths.expect("03-q2", cells)
    return told


def open_files(watch: object) -> str:
    """Let a workload open a file a secret number of times while a learner's program watches it; for exercise 03-q3.

    Parameters
    ----------
    watch : the program of a `%%bpf` cell, attached, which includes labkit.h.

    Returns a sentence about what happened.
    """
    if isinstance(program := watcher(watch), str):
        return program
    times = random.SystemRandom().randint(101, 997)
    with Workload("hello", ["--open", "/dev/null", "--times", str(times)]) as run:
        program.clear(*(name for name in program.map_names if not name.startswith("labkit_")))
        program.aim(pid=run.pid)
        run.go()
    truths.expect("03-q3", times)
    return "The workload has opened its file while your program was attached. What did your program count?"


def log_without_a_name() -> str:
    """Return the log of a program of the gallery, drawn at random; exercise 03-q4 asks for the cause."""
    name = random.SystemRandom().choice(UNNAMED)
    log = judge(name).log
    truths.expect("03-q4", GALLERY[name].cause)
    return "\n".join(log.splitlines()[-40:])
