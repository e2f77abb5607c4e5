# SPDX-License-Identifier: Apache-2.0
"""One case of a trial: a script with numbers drawn at random, and what the workload reports after it.

The workload is c/workloads/script/. In a `Case` each number may be a range: "main: pwrite 11-97 100-900" becomes
"main: pwrite 23 512" or another.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["Act", "Case", "acts_of", "drawn", "not_watched"]

_RANGE = re.compile(r"(?<![\w-])(\d+)-(\d+)\b")


@dataclass(frozen=True)
class Case:
    """One situation in which a program is tested.

    Parameters
    ----------
    name : shown to the learner, such as "two threads".
    script : what the watched process does; ranges are drawn at each trial.
    more, less : the hint when the program counted too much, or too little, in this case.
    beside : what a process that is not watched does meanwhile; empty: there is none.
    """

    name: str
    script: str
    more: str = ""
    less: str = ""
    beside: str = ""


def not_watched(script: str, beside: str, *, counted: str = "Calls") -> Case:
    """Return the case for a program that does not ask whom it watches; `counted` is what it counts, in a hint."""
    hint = f"{counted} of a process that is not watched are in it. Ask labkit_is_target() first."
    return Case("a process that is not watched", script, beside=beside, more=hint)


@dataclass(frozen=True)
class Act:
    """What one act of the script really did, as the workload reports it (`struct result` in c/workloads/script/)."""

    who: str
    act: str
    arguments: tuple[int, ...]
    pid: int
    tid: int
    fd: int
    done: int
    failed: int
    bytes: int
    elapsed_ns: int
    pids: tuple[int, ...]


def drawn(script: str, chance: random.Random) -> str:
    """Return a script with a number in place of each range."""
    return _RANGE.sub(lambda found: str(chance.randint(int(found[1]), int(found[2]))), script)


def acts_of(told: dict[str, Any]) -> list[Act]:
    """Return the acts that the workload reports."""
    return [
        Act(
            **{name: each[name] for name in ("who", "act", "pid", "tid", "fd", "done", "failed", "bytes")},
            elapsed_ns=each["elapsed_ns"],
            arguments=tuple(each["arguments"]),
            pids=tuple(each["pids"]),
        )
        for each in told["acts"]
    ]
