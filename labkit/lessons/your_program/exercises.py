# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: the experiments behind its exercises; what they hide is drawn anew at each call."""

from __future__ import annotations

import random

import pandas as pd

from labkit.bpf.program import Program
from labkit.lessons.your_program.programs import served, slow_requests
from labkit.lessons.your_program.target import check_target
from labkit.lessons.your_program.watching import look_at
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.progress import silent
from labkit.running.workload import Workload

__all__ = ["failing_opens", "hidden_delay", "hidden_memory", "written_bytes"]

_NOT_LOADED = "Your program is not loaded yet: correct it, run its cell again, and then this one."
_NOT_AIMED = 'Your program does not ask whom it watches: it needs #include "labkit.h" and labkit_is_target().'
_REQUESTS = 13


def hidden_delay() -> pd.DataFrame:
    """Let a client dawdle for a hidden time before each request; exercise 12-q1 asks for it.

    Returns the waits of the web server: wait, count, total_ns, mean_ns.
    """
    delay_ms = random.SystemRandom().randint(41, 97)
    with exclusive("lesson 12: an exercise"), served() as (pid, port):
        made = slow_requests(pid, port, delay_ms, _REQUESTS, silent)
    truths.expect("12-q1", delay_ms)
    return made[["wait", "count", "total_ns", "mean_ns"]]


def failing_opens(program: object) -> str:
    """Let a program open files, of which a hidden number does not exist; exercise 12-q2 asks for it.

    Parameters
    ----------
    program : of a `%%bpf` cell, attached, which includes labkit.h.

    Returns what happened, in words.
    """
    return _judged(program, "12-q2", "not_found", "It opened some files; some of them do not exist.")


def written_bytes(program: object) -> str:
    """Let a program write with pwrite(2), at times to a full disk; exercise 12-q3 asks for the bytes written."""
    return _judged(program, "12-q3", "written_bytes", "It wrote with pwrite(2), and at times the disk was full.")


def hidden_memory() -> pd.DataFrame:
    """Let a program touch a hidden number of pages; exercise 12-q4 asks for it.

    Returns its page faults: fault, stack, count.
    """
    pages = random.SystemRandom().randint(2000, 9000)
    arguments = ["--opens", "0", "--missing", "0", "--writes", "0", "--failed-writes", "0", "--pages", str(pages)]
    with exclusive("lesson 12: an exercise"), Workload("your_program", arguments) as run:
        made = look_at(check_target(run.pid, None, None), ["faults"], 60.0, silent, run.go)["faults"]
    truths.expect("12-q4", pages)
    made.attrs["command"] = ""
    return made[["fault", "stack", "count"]]


def _judged(program: object, question: str, truth: str, said: str) -> str:
    if not isinstance(program, Program):
        return _NOT_LOADED
    if "labkit_target" not in program.map_names:
        return _NOT_AIMED
    chance = random.SystemRandom()
    names = ("opens", "missing", "writes", "failed-writes")
    arguments = [word for name in names for word in (f"--{name}", str(chance.randint(101, 997)))]
    with exclusive("lesson 12: an exercise"), Workload("your_program", [*arguments, "--pages", "0"]) as run:
        program.clear()
        program.aim(pid=run.pid)
        told = run.go()
    truths.expect(question, told[truth])
    return said
