# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 05."""

from __future__ import annotations

from typing import Any

from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]


def _operand(answer: Any) -> str:
    """Read the place of an argument: "-4@%eax"; aarch64 writes spaces in it, which do not count."""
    read = text(answer)
    if "@" not in read:
        raise ValueError('the words of the note are wanted, such as "8@%rdi"')
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
            Hint(lambda answer, truth: answer > truth * 3, "Only request_done tells a status, and 200 means success."),
        ),
        otherwise="Keep the rows of request_done whose status is below 0: the rows of request_start have status 0.",
        why="The sign arrived: the note says that the status is a signed number of four bytes.",
    ),
    "05-q2": Question(
        ask="Which request took far longer than the others? Give its number.",
        read=whole,
        first="on a machine where BPF works, run the cell with usdt.find_slow",
        hints=(
            Hint(lambda answer, truth: answer > 10_000, "That is a latency or a time. The number is in `request`."),
            Hint(lambda answer, truth: answer == 2 * truth - 1, "That is a row of the frame, not a request."),
        ),
        otherwise="Sort the frame by latency_ns, and look at the column request of the row with the longest.",
        why="The program told its latency by itself: no pairing of beginning and end was needed.",
    ),
    "05-q3": Question(
        ask="Where does the argument that read_a_note() asked for arrive, in the words of its note?",
        read=_operand,
        first="run the cell that calls usdt.read_a_note()",
        hints=(
            Hint(
                lambda answer, truth: answer.partition("@")[2] == truth.partition("@")[2],
                "The place is right, its size or sign is not.",
            ),
        ),
        otherwise="The column `arguments` has them in order, with spaces between. The first is argument 1.",
        why="A tracer knows nothing of C here: size, sign and place in the note are all it has, and all it needs.",
    ),
    "05-q4": Question(
        ask="Which type of exception was thrown most often?",
        read=_type,
        first="on a machine where BPF works, run the cell with usdt.throw_mystery",
        hints=(
            Hint(lambda answer, truth: answer.isdigit(), "That is how often. Which type is it?"),
            Hint(
                lambda answer, truth: answer == "runtime_error",
                "Each of these is caught twice and thrown on once. Count the rows of the probe throw only.",
            ),
        ),
        otherwise='Keep the rows whose probe is "throw", and count those of each exception.',
        why="You looked into a running C++ program that nobody had prepared for it.",
    ),
}
