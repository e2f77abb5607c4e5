# SPDX-License-Identifier: Apache-2.0
"""The programs that learners write in lesson 06, and the cases in which they are tried."""

from __future__ import annotations

from labkit.lessons._judge.cases import Case, not_watched
from labkit.lessons._judge.kept import Kept
from labkit.lessons._judge.tool import Tool, summed

__all__ = ["BYTES_READ", "BY_DESCRIPTOR"]

BYTES_READ = Tool(
    "06",
    (Kept("moved", "BPF_ARRAY(moved, u64, 1);"), Kept("failed", "BPF_ARRAY(failed, u64, 1);")),
    lambda acts: {"moved": {0: sum(act.bytes for act in acts)}, "failed": {0: sum(act.failed for act in acts)}},
    (
        Case(
            "full reads",
            "main: pread 11-97 100-900",
            less="moved is a sum of bytes, not a number of calls: add what the call returned.",
        ),
        not_watched("main: pread 3-9 100", "main: pread 11-97 4096"),
        Case(
            "short reads",
            "main: short 11-23 100-900, pread 3-9 50-99",
            more="A read may return fewer bytes than it was asked for. Only the exit of the call knows: args->ret.",
        ),
        Case(
            "end of file",
            "main: short 5-20 0, pread 3-9 100",
            more="A read at the end of a file returns 0. That is not an error, and there are no bytes.",
        ),
        Case(
            "errors",
            "main: badread 5-20, pread 3-9 100",
            more="A call that fails returns a negative number, such as -9 for EBADF. Added to a sum without a sign, it "
            "makes the sum wrong. Count such calls in failed, and leave them out of moved.",
            less="A call that fails returns a negative number, such as -9 for EBADF. Count such calls in failed, and "
            "leave them out of moved.",
        ),
        Case("threads", "main: pread 99-200 64; thread: pread 99-200 128", less="Both threads belong to the process."),
    ),
)

BY_DESCRIPTOR = Tool(
    "06",
    (Kept("calls", "BPF_HASH(calls, u32, u64);", key="u32", label="descriptor"),),
    lambda acts: {"calls": summed((act.fd, act.done - act.failed) for act in acts)},
    (
        Case("one socket", "main: receive 11-97 10-99"),
        not_watched("main: receive 3-9 10", "main: late 2 3000"),
        Case(
            "errors",
            "main: receive 3-9 20, refused 5-20",
            more="Calls that fail are counted, too. At the entry nobody knows whether a call will fail: count at the "
            "exit, where args->ret is below 0.",
        ),
        Case("0 bytes", "main: receive 5-20 0", less="A call that returns 0 has not failed."),
        Case(
            "two threads that wait",
            "thread: late 2-4 20000-30000; thread: late 3-5 20000-30000, receive 11-23 10",
            more="While one thread waits in its call, the other one begins another call: what you remembered for the "
            "one was overwritten. Use the thread id as the key, not the process id.",
            less="While one thread waits in its call, the other one begins another call: what you remembered for the "
            "one was overwritten. The key must be the thread, not the process.",
        ),
    ),
)
