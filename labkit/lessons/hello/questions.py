# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 01."""

from __future__ import annotations

from labkit.lessons.hello.exercises import ENDS, EXIT_CODES
from labkit.notebook.question import Hint, Question, text, whole
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]

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
        why="A probe sees what happens while it is attached. What happened earlier was not recorded.",
    ),
    "01-q5": Question(
        ask="Which program sends one record for each process that ends?",
        judge=ENDS.judge,
        why="The kernel reports the end of each thread. A tool decides what it counts.",
    ),
    "01-q6": Question(
        ask="Which program sends a record with the exit code of each process that calls exit_group?",
        judge=EXIT_CODES.judge,
        why="One event has the code and another sees the killed processes: choose the event for the question.",
    ),
}

PREDICTIONS = {
    "01-p1": Replies(
        {
            "1": "You expected one line for the workload itself. It was started before the program was attached, "
            "so it has no line; each of the 3 programs that it starts has one.",
            "4": "You counted the workload itself, too. It was started before the program was attached: 3 lines "
            "are there.",
            "6": "You counted fork and exec. The tracepoint fires at the exec only: one line for each start.",
        },
        usual="3",
        again=lambda n: Again(
            f"A probe on sched_process_exec is attached. A shell then starts {n} programs, by fork and exec. How "
            "many events are there?",
            [n, n + 1, 2 * n],
            n,
            "One event for each exec. The shell itself was there before.",
        ),
    ),
    "01-p2": Replies(
        {
            "22": "You expected one event to be lost at the start or the end. The probe was attached before the "
            "first start and detached after the last one: lost_events is 0.",
            "24": "You counted the workload, too. It was started before the probe was attached.",
            "about 23": "You thought of a sample. A probe is not one: the kernel runs the program at every "
            "event, and the table has exactly as many rows as the workload counted.",
        },
        usual="23",
        again=lambda n: Again(
            f"A workload makes {n} calls while a probe is attached to that call. How many does the probe count?",
            [n - 1, n, f"about {n}"],
            n,
            "The kernel runs the program at every event. Nothing is estimated.",
        ),
    ),
    "01-p3": Replies(
        {
            "0, 23, 23": "You expected the program to stay until it is removed. After detach the table shows 0: "
            "nothing runs at the event any more.",
            "23, 23, 23": "You expected a log that can be read later. The first row of the table is 0: what "
            "happened before was not recorded.",
            "0, 23, 46": "You added up the phases. Each row of the table is one phase, and in the last one "
            "nothing was counted.",
        },
        usual="0, 23, 0",
        again=lambda n: Again(
            f"A process makes {n} calls. Then you attach a probe, and it makes {n} more. What does the probe count?",
            [0, n, 2 * n],
            n,
            "Only what happens while it is attached.",
        ),
    ),
}
