# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 12."""

from __future__ import annotations

from labkit.lessons.your_program.tools import FAILING, WRITTEN
from labkit.notebook.question import Hint, Question, number
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]

QUESTIONS = {
    "12-q1": Question(
        ask="How many milliseconds does the client wait before it sends? (15 % off is good enough.)",
        read=number,
        first="run the cell with your_program.hidden_delay",
        hints=(
            Hint(lambda answer, truth: answer > 1000 * truth, "Mind the unit: mean_ns is in nanoseconds."),
            Hint(
                lambda answer, truth: answer > 5 * truth,
                "Too long. Divide by the number of waits, and do not add the main thread's wait for clients.",
            ),
        ),
        otherwise="Look for the wait in recvfrom(): its mean is what the server waited for one request.",
        why="The server's thread sleeps in recvfrom() from the connect until the request comes.",
        tolerance=0.15,
    ),
    "12-q2": Question(
        ask="Which program counts the calls of openat that failed, by error number?",
        judge=FAILING.judge,
        why="Only the exit of a call knows whether it failed, and its result says why.",
    ),
    "12-q3": Question(
        ask="Which program adds up, by descriptor, the bytes that pwrite64 wrote?",
        judge=WRITTEN.judge,
        why="The entry knows the descriptor, the exit knows the result, and the thread ties the two together.",
    ),
    "12-q4": Question(
        ask="How many pages of memory did the program touch? (5 % off is good enough.)",
        read=number,
        first="run the cell with your_program.hidden_memory",
        otherwise="Each page that is touched for the first time is one minor fault: add the column count.",
        why="The kernel gives a program a page of memory at the first access, in a page fault.",
        tolerance=0.05,
    ),
}

PREDICTIONS = {
    "12-p1": Replies(
        {
            "nothing": "You expected git to trust that nothing has changed. It compares the times of each file with "
            "its index, and the copy has other times: see the bytes of the first run.",
            "the names": "You expected names and times to be enough. They are, in the second run; in the first the "
            "times do not match: see its bytes.",
        },
        usual="every byte",
        again=lambda n: Again(
            f"A tree of {n} files of 1000 bytes was copied, with new times. How many bytes of files does the first "
            "git status read?",
            ["about 0", f"about {n * 1000}"],
            f"about {n * 1000}",
            "The times differ, so git compares the contents.",
        ),
    ),
    "12-p2": Replies(
        {
            "once": "You expected the table to stay in SQLite's cache. It holds 2 MB, and the table is larger: "
            "compare bytes read with the size of the database.",
            "never": "You expected SQLite to go to the row directly. Without an index it does not know where the row "
            "is: see the bytes read.",
        },
        usual="once per lookup",
        again=lambda n: Again(
            f"{n} lookups without an index in a table of 10 MB, larger than the cache. About how many MB are read?",
            [10, 10 * n],
            10 * n,
            "Each lookup scans the whole table.",
        ),
    ),
    "12-p3": Replies(
        {
            "for a CPU": "You expected the machine to be the limit. The CPU is idle: see the time on the run queue.",
            "for the disk": "You expected files. No wait in the table is in a call that reads one.",
            "for a lock": "You expected the server's threads to block each other. There is no long wait in futex().",
        },
        usual="for the client",
    ),
}
