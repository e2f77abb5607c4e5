# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 00."""

from __future__ import annotations

from labkit.notebook.question import Hint, Question, whole
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]

FIRST = "run the cell that calls start.mystery()"

QUESTIONS = {
    "00-q1": Question(
        ask="How many reads did it make?",
        read=whole,
        first=FIRST,
        hints=(
            Hint(
                lambda answer, truth: answer == truth - 1, "The rows are numbered from 0: the last number is one less."
            ),
        ),
        otherwise="Each row is one read: len(mystery) counts them.",
        why="Each read was one system call, and the program in the kernel saw each.",
    ),
    "00-q2": Question(
        ask="How many bytes does the whole file have?",
        read=whole,
        first=FIRST,
        otherwise='Add up what the reads returned: mystery["bytes"].sum().',
        why="The bytes that all reads returned make the file.",
    ),
    "00-q3": Question(
        ask="Which read was the slowest?",
        read=whole,
        first=FIRST,
        hints=(
            Hint(lambda answer, truth: answer == truth + 1, "Count from 0, as the table does."),
            Hint(lambda answer, truth: answer > 1000, "That is a time. Give the number of the row that has it."),
        ),
        otherwise='mystery["latency_ns"].idxmax() is the number of the row with the largest latency.',
        why="Often it is the first: code and data were not yet in the processor's own caches.",
    ),
}

PREDICTIONS = {
    "00-p1": Replies(
        {
            "about 10 ns": "You thought of the time to reach the processor's cache. To copy 64 KiB and to enter "
            "the kernel takes longer: look at the median above the picture.",
            "about 10 ms": "You thought of a hard disk. The file is in memory, in the page cache, as the median "
            "in microseconds shows: no disk takes part.",
            "about 1 s": "You thought of a whole file, or of a slow network. The picture has 97 reads, "
            "and all of them together took less than that.",
        },
        usual="about 10 µs",
        again=lambda n: Again(
            f"A program reads {n} blocks of 64 KiB from the page cache, at 10 µs each. About how long does that take?",
            [f"{n * 10} ns", f"{n * 10} µs", f"{n * 10} ms"],
            f"{n * 10} µs",
            f"{n} times 10 µs.",
        ),
    ),
}
