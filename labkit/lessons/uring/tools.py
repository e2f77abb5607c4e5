# SPDX-License-Identifier: Apache-2.0
"""The programs that learners write in lesson 08, and the cases in which they are tried."""

from __future__ import annotations

from labkit.lessons._judge.cases import Case, not_watched
from labkit.lessons._judge.kept import Kept
from labkit.lessons._judge.tool import Tool, summed

__all__ = ["HANDED", "RESULTS"]

_OPCODES = {"worked": 22, "workednops": 0}  # enum io_uring_op in include/uapi/linux/io_uring.h: READ, NOP


RESULTS = Tool(
    "08",
    (Kept("done", "BPF_ARRAY(done, u64, 1);"), Kept("failed", "BPF_ARRAY(failed, u64, 1);")),
    lambda acts: {"done": {0: sum(act.done for act in acts)}, "failed": {0: sum(act.failed for act in acts)}},
    (
        Case(
            "one at a time",
            "main: reads 1 100, reads 1 50, reads 1 10",
            more="Each request has one result, but not each call is a request: a call may also wait.",
            less="Each request has one result; the tracepoint io_uring:io_uring_complete fires once for each.",
        ),
        not_watched("main: reads 1 10", "main: nops 11-23", counted="Requests"),
        Case(
            "a batch",
            "main: reads 11-97 10",
            less="One call can submit many requests. Count results, not calls.",
            more="Count results, not calls.",
        ),
        Case(
            "errors",
            "main: errors 5-20, reads 3-9 100",
            less="The call succeeded, and the requests failed: what became of a request is in its result, args->res.",
            more="A request that failed is done, too, and it failed: its result is below 0.",
        ),
        Case("0 bytes", "main: ends 5-20, reads 3-9 10", more="A result of 0 is not an error: only one below 0 is."),
        Case("workers", "main: worked 5-20 100, reads 3-9 10", less="Requests that a worker does have results, too."),
    ),
)

HANDED = Tool(
    "08",
    (Kept("handed", "BPF_HASH(handed, u32, u64);", key="u32", label="opcode"),),
    lambda acts: {"handed": summed((_OPCODES[act.act], act.done) for act in acts if act.act in _OPCODES)},
    (
        Case(
            "one kind of request",
            "main: worked 5-20 100",
            less="io_uring:io_uring_queue_async_work fires for each request that is handed to a worker. Its "
            "args->opcode is the key.",
            more="Count under args->opcode. The opcode of a read is 22.",
        ),
        not_watched("main: worked 2 10", "main: workednops 11-23", counted="Requests"),
        Case(
            "none",
            "main: nops 11-23, reads 11-23 100",
            more="These requests were done at once, without a worker. Submitted is not handed to a worker.",
        ),
        Case(
            "two kinds",
            "main: worked 3-9 10, workednops 11-23, reads 3-9 10",
            less="NOP has the opcode 0, which is a key like any other.",
            more="Each request is counted under its own opcode.",
        ),
        Case(
            "two threads",
            "main: worked 20-60 10; thread: worked 20-60 10",
            less="Two threads submit requests at the same time: add in one step, as in lesson 02.",
        ),
    ),
)
