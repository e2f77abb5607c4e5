# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 05."""

from __future__ import annotations

import platform
from typing import Any

from labkit.lessons.usdt.exercises import BYTES, PATHS
from labkit.notebook.question import Hint, Question, text, whole
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]


_EXAMPLE = "8@x0" if platform.machine() == "aarch64" else "8@%rdi"


def _operand(answer: Any) -> str:
    """Read the place of an argument: "-4@%eax"; aarch64 writes spaces in it, which do not count."""
    read = text(answer)
    if "@" not in read:
        raise ValueError(f'write it as the note does, such as "{_EXAMPLE}"')
    return "".join(read.split())


def _type(answer: Any) -> str:
    """Read the name of a C++ type; its namespace does not count."""
    return text(answer).rpartition("::")[2]


QUESTIONS = {
    "05-q1": Question(
        ask="How many of the requests failed (had a status below 0)?",
        read=whole,
        first="on a machine where BPF works, run the cell with usdt.mystery",
        hints=(
            Hint(lambda answer, truth: answer > truth * 3, "Only request_done has a status, and 200 means success."),
        ),
        otherwise="Keep the rows of request_done whose status is below 0.",
        why="The sign is right because the note says that the status is a signed number of four bytes.",
    ),
    "05-q2": Question(
        ask="Which request took far longer than the others? Give its number.",
        read=whole,
        first="on a machine where BPF works, run the cell with usdt.find_slow",
        hints=(
            Hint(lambda answer, truth: answer > 10_000, "That is a latency or a time. The number is in `request`."),
            Hint(lambda answer, truth: answer == 2 * truth - 1, "That is a row of the frame, not a request's number."),
        ),
        otherwise="Find the row with the largest latency_ns, and read its column request.",
        why="The program reports its latency itself, so you did not have to pair a start with an end.",
    ),
    "05-q3": Question(
        ask="Where does the argument that read_a_note() asked for arrive, as its note writes it?",
        read=_operand,
        first="run the cell that calls usdt.read_a_note()",
        hints=(
            Hint(
                lambda answer, truth: answer.partition("@")[2] == truth.partition("@")[2],
                "The place is right. Its size or its sign is not.",
            ),
        ),
        otherwise='The column `arguments` lists them in order, with "; " between them. The first is argument 0.',
        why="A tracer does not know the C source. Size, sign and place are all it needs, and the note has all three.",
    ),
    "05-q4": Question(
        ask="Which type of exception was thrown most often?",
        read=_type,
        first="on a machine where BPF works, run the cell with usdt.throw_mystery",
        hints=(
            Hint(lambda answer, truth: answer.isdigit(), "That is a count. Which type is it?"),
            Hint(
                lambda answer, truth: answer == "runtime_error",
                "Each of these is caught twice and rethrown once. Count only the rows of the probe throw.",
            ),
        ),
        otherwise='Keep the rows whose probe is "throw", and count them by exception.',
        why="You looked into a running C++ program that nobody had prepared for it.",
    ),
    "05-q5": Question(
        ask="Which program counts the replies by path?",
        judge=PATHS.judge,
        why="A text ends at its zero. What follows in memory belongs to somebody else.",
    ),
    "05-q6": Question(
        ask="Which program adds up the bytes by status?",
        judge=BYTES.judge,
        why="The note of the probe says how wide each argument is, and whether it has a sign.",
    ),
}

PREDICTIONS = {
    "05-p1": Replies(
        {
            "a function call": "You thought of a library that is called. Nothing is called: the bytes that were "
            "read from the running process are a nop.",
            "a system call": "You thought that only the kernel can trace. It can, but not by a call of the "
            "program: the instruction is a nop.",
            "a write to a log": "You thought of logging. A probe writes nothing while nobody listens: the "
            "instruction is a nop.",
        },
        usual="an instruction that does nothing",
    ),
    "05-p2": Replies(
        {
            "101": "You counted the requests. Two probes fire for each request, at its start and at its end: 202 rows.",
            "200": "You expected the first request, or some of them, to be missed. The program's own counts, "
            "printed above, are 101 for each probe.",
            "about 200": "You thought of sampling. Each time a probe fires, the program runs: the count is exact.",
        },
        usual="202",
        again=lambda n: Again(
            f"{n} requests are served, and three probes fire for each. You listen to two of them. How many records "
            "come?",
            [n, 2 * n, 3 * n],
            2 * n,
            "One record each time a probe fires that you listen to.",
        ),
    ),
    "05-p3": Replies(
        {
            "still a nop": "You thought that the kernel watches from outside. The column instruction shows that "
            "the byte in the process's memory has changed.",
            "a jump into the kernel": "You thought of a call. A program cannot jump into the kernel; one byte "
            "has room only for a trap, as the table shows.",
            "a call of a BPF program": "You thought that the program calls BPF itself. It only traps; the "
            "kernel, which gets control then, runs the BPF program.",
        },
        usual="a trap",
    ),
    "05-p4": Replies(
        {
            "503, 503, 503": "You thought that the text is always prepared. The semaphore is tested first: the "
            "first row of the table is 0.",
            "0, 503, 503": "You thought that the semaphore stays up. The kernel lowers it when the listener "
            "leaves: the last row is 0.",
            "1, 503, 1": "You thought that the program must try once. It reads one number in its own memory, and "
            "prepares nothing: 0 in the table.",
        },
        usual="0, 503, 0",
        again=lambda n: Again(
            f"A probe with a semaphore fires {n} times while two tracers listen, and {n} times after one of "
            "them has left. How often is its argument prepared?",
            [n, 2 * n, 0],
            2 * n,
            "The semaphore counts its listeners: it is above 0 as long as there is one.",
        ),
    ),
    "05-p5": Replies(
        {
            "less than 5 ns": "You expected a nop to cost nothing. In this run it costs more: look at the "
            "interval of the row idle, and at that of the A/A arm.",
            "5 to 500 ns": "You thought that a probe must do something. Idle it is one nop: the row idle shows a "
            "nanosecond or less.",
            "more than 500 ns": "You thought of a trap. There is a trap only while somebody listens: compare the "
            "rows idle and traced.",
        },
    ),
    "05-p6": Replies(
        {
            "3": "You counted the items of one order. Each of the 13 orders has three.",
            "13": "You counted the orders. item() is called for each item of each order.",
            "42": "You added something for the module, or for the generator. Those have rows of their own: look "
            "at item in the table.",
        },
        usual="39",
    ),
}
