# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 05."""

from __future__ import annotations

from typing import Any

from labkit.lessons.usdt.exercises import BYTES, PATHS
from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]


def _operand(answer: Any) -> str:
    """Read the place of an argument: "-4@%eax"; aarch64 writes spaces in it, which do not count."""
    read = text(answer)
    if "@" not in read:
        raise ValueError('write it as the note does, such as "8@%rdi"')
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
