# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 08."""

from __future__ import annotations

from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]

QUESTIONS = {
    "08-q1": Question(
        ask="How many results lie in the completion ring, not yet seen by the program?",
        read=whole,
        first="run, where io_uring can be had, the cell with uring.heads_and_tails",
        hints=(
            Hint(lambda answer, truth: answer == 0, "The kernel has moved the tail further than the program the head."),
            Hint(
                lambda answer, truth: answer > truth + 1, "Heads and tails count from the start. What is between them?"
            ),
        ),
        otherwise="Results lie between head and tail of the completion ring: subtract.",
        why="One side writes the tail, the other the head: no lock is needed. The difference says what is there.",
    ),
    "08-q2": Question(
        ask='Which of A, B and C uses SQPOLL? Answer "A", "B" or "C".',
        read=text,
        first="run, where BPF and io_uring can be had, the cell with uring.who_polls",
        hints=(
            Hint(
                lambda answer, truth: answer in ("a", "b", "c"),
                "Few calls alone prove nothing: a large batch saves them.",
            ),
        ),
        otherwise='Who takes the requests? Look for the program that hands none over itself: "A", "B" or "C".',
        why="All its requests were taken by the thread iou-sqp; its own calls only wait for results.",
        right=lambda answer, truth: answer == str(truth).casefold(),
    ),
    "08-q3": Question(
        ask="How many files were opened, read and closed?",
        read=whole,
        first="run, where BPF and io_uring can be had, the cell with uring.chains",
        hints=(
            Hint(
                lambda answer, truth: answer == 3 * truth, "That is the number of requests. How many belong to a file?"
            ),
            Hint(lambda answer, truth: answer < truth / 3, "A call carries many chains. Count requests, not calls."),
        ),
        otherwise="Each file is a chain of three linked requests: open, read, close.",
        why="The kernel ran each chain in order, without coming back to the program in between.",
    ),
    "08-q4": Question(
        ask="How many of the reads were given to a worker?",
        read=whole,
        first="run, where BPF and io_uring can be had, the cell with uring.desk",
        hints=(
            Hint(
                lambda answer, truth: answer < truth / 2,
                "How often a worker ran is not how much it did: it takes several.",
            ),
        ),
        otherwise='Look for the event "given to a worker". It happens in the thread that hands over.',
        why="A worker that is awake takes one request after the other, so it runs less often than it works.",
    ),
}
