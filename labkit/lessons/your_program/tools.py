# SPDX-License-Identifier: Apache-2.0
"""The programs that learners write in lesson 12, and the cases in which they are tried."""

from __future__ import annotations

import errno

from labkit.lessons._judge.cases import Case, not_watched
from labkit.lessons._judge.kept import Kept
from labkit.lessons._judge.tool import Tool, summed

__all__ = ["FAILING", "WRITTEN"]

_ERRORS = {"missing": errno.ENOENT, "nofolder": errno.ENOTDIR}


FAILING = Tool(
    "12",
    (Kept("errors", "BPF_HASH(errors, u32, u64);", key="u32", label="error number"),),
    lambda acts: {"errors": summed((_ERRORS[act.act], act.failed) for act in acts if act.failed)},
    (
        Case(
            "files that do not exist",
            "main: missing 11-97",
            more="A call that fails returns the error number with a minus sign. The key is the number without it.",
            less="The result of a call that failed is below 0: for a file that does not exist, -2.",
        ),
        not_watched("main: missing 3-9", "main: missing 11-97"),
        Case(
            "files that exist",
            "main: opened 11-97, missing 3-9",
            more="Calls that did not fail are counted, too. The result of those is a descriptor: 0 or more.",
        ),
        Case(
            "another error",
            "main: missing 3-9, nofolder 11-23",
            more="Each error has its own number, and its own key: -args->ret.",
            less="There are more errors than ENOENT: each that is below 0 counts, under its own number.",
        ),
        Case("threads", "main: missing 99-200; thread: missing 99-200", less="Both threads belong to the process."),
    ),
)

WRITTEN = Tool(
    "12",
    (Kept("written", "BPF_HASH(written, u32, u64);", key="u32", label="descriptor"),),
    lambda acts: {"written": summed((act.fd, act.bytes) for act in acts if act.bytes)},
    (
        Case(
            "full writes",
            "main: pwrite 11-97 100-900",
            less="written is a sum of bytes, not a number of calls. Its key is the descriptor, args->fd of the entry.",
        ),
        not_watched("main: pwrite 3-9 100", "main: pwrite 11-97 4096"),
        Case(
            "short writes",
            "main: partial 11-23 100-900, pwrite 3-9 50-99",
            more="A call may write less than it was asked to. Only its exit knows how much: args->ret.",
        ),
        Case(
            "a full disk",
            "main: full 5-20 1000, pwrite 3-9 100",
            more="A call that fails writes nothing. Its result is below 0, such as -28 for ENOSPC: leave it out.",
            less="A call that fails writes nothing. Its result is below 0, such as -28 for ENOSPC: leave it out.",
        ),
        Case(
            "threads", "main: pwrite 99-200 64; thread: pwrite 99-200 128", less="Both threads belong to the process."
        ),
    ),
)
