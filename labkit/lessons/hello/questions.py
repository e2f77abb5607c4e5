# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 01."""

from __future__ import annotations

from labkit.lessons.hello.exercises import ENDS, EXIT_CODES
from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]

QUESTIONS = {
    "01-q1": Question(
        ask="How often was the program run?",
        read=whole,
        first="run the cell that calls hello.mystery()",
        hints=(
            Hint(lambda answer, truth: abs(answer - truth) == 1, "You are off by one: count the rows, not the index."),
            Hint(lambda answer, truth: answer > 10**6, "That looks like a process id or a time, not a count."),
        ),
        otherwise="Each row of the frame is one start. How many rows are there? Try len(frame).",
        why="One event for each start, no more and no less: the kernel calls the program at each one.",
    ),
    "01-q2": Question(
        ask="Which process opened secret.txt? Give its pid.",
        read=whole,
        first="run the cell that calls hello.find_suspect()",
        hints=(
            Hint(lambda answer, truth: answer < 1000 < truth, "That is a count. The process id is in the column pid."),
        ),
        otherwise='Keep the rows whose path is "secret.txt", and look at their pid.',
        why="Six processes of the same name ran at once; the kernel knows them apart.",
    ),
    "01-q3": Question(
        ask="How often did it open secret.txt?",
        read=whole,
        first="run the cell that calls hello.find_suspect()",
        otherwise='Count the rows whose path is "secret.txt", and no others.',
        why="The workload's own count says the same.",
    ),
    "01-q4": Question(
        ask='Would the events of a run be seen if you attached the program after the run? "yes" or "no".',
        read=text,
        truth=lambda: "no",
        otherwise="Look at the table of before, during and after once more.",
        why="A probe sees what happens while it is attached. What was before, nobody wrote down.",
    ),
    "01-q5": Question(
        ask="Which program sends one record for each process that ends?",
        judge=ENDS.judge,
        why="The kernel tells the end of each thread. A tool decides what it counts.",
    ),
    "01-q6": Question(
        ask="Which program sends a record with the exit code of each process that calls exit_group?",
        judge=EXIT_CODES.judge,
        why="One event has the code and another sees the killed processes: choose the event for the question.",
    ),
}
