# SPDX-License-Identifier: Apache-2.0
"""The programs that learners write in lesson 01, and the cases in which they are tried."""

from __future__ import annotations

from labkit.lessons._judge.cases import Act, Case
from labkit.lessons._judge.kept import Kept
from labkit.lessons._judge.tool import Tool

__all__ = ["ENDS", "EXIT_CODES"]

_BUFFER = "BPF_RINGBUF_OUTPUT(events, 64);"
_NOBODY = Case(
    "a process that is not watched",
    "main: getppid 3-9",
    beside="main: run 11-23 3",
    more="Your buffer holds processes that are not watched. Ask labkit_is_target() before you reserve a record.",
)
_CHILDREN = "Your program does not see children. LABKIT_FOLLOW_CHILDREN must be defined before labkit.h is included."


def _codes(acts: list[Act]) -> dict[int, int | None]:
    """Return the exit code of each process that ended, as its parent sees it; None for one that a signal ended."""
    codes: dict[int, int | None] = {act.pid: 0 for act in acts}
    for act in acts:
        code = None if act.act == "killed" else act.arguments[0] & 255
        codes |= dict.fromkeys(act.pids, code)
    return codes


ENDS = Tool(
    "01",
    (Kept("events", _BUFFER, columns=("pid",), label="process"),),
    lambda acts: {"events": dict.fromkeys(_codes(acts), 1)},
    (
        Case(
            "one process",
            "main: getppid 3-9",
            less="The process that is watched ends, too: one record with its own id was expected.",
        ),
        _NOBODY,
        Case(
            "threads",
            "main: getppid 3-9; thread: getppid 5; thread: getppid 7; thread: getppid 11",
            more="This tracepoint fires at the end of each thread. A process has ended when its first thread has: "
            "the one whose thread id is the process id.",
            less="The process has several threads. Only the first one's end counts, and it must be counted.",
        ),
        Case("children", "main: run 3-9 0, fork 2-5 0; child: getppid 3", less=_CHILDREN),
        Case(
            "killed by a signal",
            "main: killed 2-5 9, fork 1-3 7",
            less="A process that is killed ends, too, without any call of its own.",
        ),
    ),
)

EXIT_CODES = Tool(
    "01",
    (Kept("events", _BUFFER, columns=("pid", "code"), label="(process, code)"),),
    lambda acts: {"events": {(pid, code): 1 for pid, code in _codes(acts).items() if code is not None}},
    (
        Case(
            "code 0",
            "main: run 2-5 0",
            less="Each process ends by one call of exit_group, the watched one too; one record per call was expected.",
        ),
        _NOBODY,
        Case(
            "threads",
            "main: fork 2-4 0; thread: getppid 5; thread: getppid 7",
            more="A thread that ends does not call exit_group, unless it ends the whole process.",
        ),
        Case(
            "killed by a signal",
            "main: killed 2-5 9, fork 2-5 0",
            more="A killed process makes no call and has no exit code: no record was expected for it.",
        ),
        Case(
            "other codes",
            "main: run 2-5 1-120, fork 2-5 121-255",
            more="The code in the record is not that of the process: args->error_code has it.",
            less="The code in the record is not that of the process: args->error_code has it.",
        ),
        Case(
            "codes above 255",
            "main: fork 3-9 257-999",
            more="The parent sees only the lowest 8 bits of the code: & 255.",
            less="The parent sees only the lowest 8 bits of the code: & 255.",
        ),
    ),
)
