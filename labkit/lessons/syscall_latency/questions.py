# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 06."""

from __future__ import annotations

from labkit import schema
from labkit.lessons.syscall_latency.tools import BY_DESCRIPTOR, BYTES_READ
from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]

QUESTIONS = {
    "06-q1": Question(
        ask="How many reads did the program make?",
        read=whole,
        first="run, on a machine with BPF, the cell with syscall_latency.mystery",
        hints=(
            Hint(lambda answer, truth: answer < truth, "Each row is a bucket, and a bucket can hold many reads."),
            Hint(lambda answer, truth: answer > 10**5, "Add up how many reads there were, not how long they took."),
        ),
        otherwise='Add up a column: mystery["count"].sum().',
        why="Each call falls into one bucket, so the buckets add up to the number of calls.",
    ),
    "06-q2": Question(
        ask="How many of the reads had to go to the disk?",
        read=whole,
        first="run, on a machine with BPF, the cell with syscall_latency.cached",
        hints=(
            Hint(lambda answer, truth: answer + truth == 61, "Those were found in the page cache. And the others?"),
        ),
        otherwise="A read from the page cache makes no request to the block layer: look at block_requests.",
        why="There is no need to guess from the latency: the block layer shows which reads reached it.",
    ),
    "06-q3": Question(
        ask="Which process waits for the disk? Give its pid.",
        read=whole,
        first="run, on a machine with BPF, the cell with syscall_latency.suspects",
        hints=(
            Hint(
                lambda answer, truth: answer in range(5), "Give the process id from the column pid, not the row number."
            ),
        ),
        otherwise='Add up the requests of each process: lineup.groupby("pid")["block_requests"].sum().',
        why="All of them made the same system call; only one of them made the disk work.",
    ),
    "06-q4": Question(
        ask="In which stage did these reads spend the most time?",
        read=text,
        first="run, on a machine with BPF, the cell with syscall_latency.slowest_stage",
        right=lambda answer, truth: answer in (truth, schema.label(truth).casefold()),
        hints=(
            Hint(
                lambda answer, truth: answer in ("program_ns", "latency_ns", "io", "read"),
                "That is the whole read. Which of its parts is the largest?",
            ),
        ),
        otherwise='Compare the means: unknown[list(syscall_latency.STAGES)].mean(). Name the column, like "wake_ns".',
        why="If block_requests is 0, the disk took no part, and all of the time was the file system's.",
    ),
    "06-q5": Question(
        ask="Which program adds up the bytes that were read, and counts the calls that failed?",
        judge=BYTES_READ.judge,
        why="What was asked for is known at the entry, what happened only at the exit.",
    ),
    "06-q6": Question(
        ask="Which program counts, by descriptor, the calls of recvfrom that did not fail?",
        judge=BY_DESCRIPTOR.judge,
        why="The thread ties the two ends of a call together: a thread is in one system call at a time.",
    ),
}
