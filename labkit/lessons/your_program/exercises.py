# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: the experiments behind its exercises; what they hide is drawn anew at each call."""

from __future__ import annotations

import random

import pandas as pd

from labkit.lessons.your_program.programs import served, slow_requests
from labkit.lessons.your_program.target import check_target
from labkit.lessons.your_program.watching import look_at
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.progress import silent
from labkit.running.workload import Workload

__all__ = ["hidden_delay", "hidden_memory"]

_REQUESTS = 5


def hidden_delay() -> pd.DataFrame:
    """Let a client wait for a hidden time before each request; exercise 12-q1 asks for it.

    Returns the waits of the web server: wait, count, total_ns, mean_ns.
    """
    delay_ms = random.SystemRandom().randint(151, 397)  # a slow machine needs some ms before it waits
    with exclusive("lesson 12: an exercise"), served() as (pid, port):
        made = slow_requests(pid, port, delay_ms, _REQUESTS, silent)
    truths.expect("12-q1", delay_ms)
    return made[["wait", "count", "total_ns", "mean_ns"]]


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
