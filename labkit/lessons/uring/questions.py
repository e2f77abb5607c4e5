# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 08."""

from __future__ import annotations

from labkit.lessons.uring.tools import HANDED, RESULTS
from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]

QUESTIONS = {
    "08-q1": Question(
        ask="How many results are in the completion ring that the program has not seen yet?",
        read=whole,
        first="run the cell with uring.heads_and_tails on a machine that has io_uring",
        hints=(
            Hint(
                lambda answer, truth: answer == 0,
                "The kernel has moved the tail further than the program has moved the head.",
            ),
            Hint(
                lambda answer, truth: answer > truth + 1, "Heads and tails count from the start. What is between them?"
            ),
        ),
        otherwise="Results are between head and tail of the completion ring: subtract.",
        why="One side writes the tail, the other the head: no lock is needed. The difference says what is there.",
    ),
    "08-q2": Question(
        ask='Which of A, B and C uses SQPOLL? Answer "A", "B" or "C".',
        read=text,
        first="run the cell with uring.who_polls on a machine that has BPF and io_uring",
        hints=(
            Hint(
                lambda answer, truth: answer in ("a", "b", "c"),
                "Few calls alone prove nothing: a large batch also saves calls.",
            ),
        ),
        otherwise='Which thread consumes the sqes? Look for the program that submits none itself: "A", "B" or "C".',
        why="The thread iou-sqp consumed all its sqes. The calls of the program only wait for results.",
        right=lambda answer, truth: answer == str(truth).casefold(),
    ),
    "08-q3": Question(
        ask="How many files were opened, read and closed?",
        read=whole,
        first="run the cell with uring.chains on a machine that has BPF and io_uring",
        hints=(
            Hint(
                lambda answer, truth: answer == 3 * truth, "That is the number of requests. How many belong to a file?"
            ),
            Hint(lambda answer, truth: answer < truth / 3, "A call carries many chains. Count requests, not calls."),
        ),
        otherwise="Each file is a chain of three linked requests: open, read, close.",
        why="The kernel ran each chain in order, without returning to the program between its requests.",
    ),
    "08-q4": Question(
        ask="How many of the reads went to a worker?",
        read=whole,
        first="run the cell with uring.desk on a machine that has BPF and io_uring",
        hints=(
            Hint(
                lambda answer, truth: answer < truth / 2,
                "How often a worker ran is not how many reads it did: it takes several at a time.",
            ),
        ),
        otherwise='Look for the event "handed to a worker". It happens in the thread that submits.',
        why="A worker that is awake takes one request after the other, so it runs less often than it reads.",
    ),
    "08-q5": Question(
        ask="Which program counts the requests, and those that failed?",
        judge=RESULTS.judge,
        why="A call that succeeds says nothing of its requests: each has its own result.",
    ),
    "08-q6": Question(
        ask="Which program counts the requests that went to a worker, by opcode?",
        judge=HANDED.judge,
        why="Requests of other kinds were done at once; only these cost a worker.",
    ),
}
