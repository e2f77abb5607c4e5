# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 06."""

from __future__ import annotations

from labkit import schema
from labkit.lessons.syscall_latency.tools import BY_DESCRIPTOR, BYTES_READ
from labkit.notebook.question import Hint, Question, text, whole
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]

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

PREDICTIONS = {
    "06-p1": Replies(
        {
            "996": "You expected the first or the last call to be missed. The timer was attached before the "
            "first and detached after the last one: the count is the program's own.",
            "998": "You expected a call of the start-up to be in it. The timer is aimed when the program is "
            "ready, and pread64 is used by nothing else there.",
            "about 1000": "You thought of sampling. Each call runs the program: the count is exact.",
        },
        usual="997",
        again=lambda n: Again(
            f"A program makes {n} calls, and {n // 3} of them fail. The timer pairs entry and exit. How many does "
            "it count?",
            [n, n - n // 3, n // 3],
            n,
            "A call that fails has an entry and an exit, too.",
        ),
    ),
    "06-p2": Replies(
        {
            "less than 2": "You thought that a disk is nearly as fast as memory. Compare the two medians in the "
            "table: one of them goes to a device and back.",
            "2 to 10": "You expected a fast disk. Compare the two medians in the table: a request to a device "
            "takes several tens of microseconds, a copy of 4 KiB about one.",
            "more than 10": "You expected a slow disk. Compare the two medians in the table: the device behind "
            "this machine, or a cache in front of it, answers quickly.",
        },
    ),
    "06-p3": Replies(
        {
            "nothing": "You thought that reads do not see each other. They share one device: compare the "
            "quantiles with those of the quiet run.",
            "all become a little slower": "You thought that the disk is divided evenly. Compare the quantiles: "
            "what waits behind a large request waits long, and the rest does not.",
            "some become much slower, others stay as they were": "You expected the neighbour's requests to come "
            "in bursts. In this run the whole distribution moved: compare the lower quantile, too.",
        },
    ),
    "06-p4": Replies(
        {
            "file system": "You thought that the path through the kernel is long. It is, in code, and short in "
            "time: its part of the bar is thin.",
            "block layer": "You expected a queue. With one read at a time there is nobody to wait for: the part "
            "of the block layer is thin.",
            "device": "You expected the device to take most of the time. In this run it does not: a cache in it, "
            "or in the host, answers at once.",
            "wake-up": "You thought that waking takes long. It takes some microseconds; see its part of the bar.",
        },
    ),
    "06-p5": Replies(
        {
            "less than 50 ns": "You thought of a few instructions. The timer is two tracepoints, one write to a map "
            "and one read: its row has the sum.",
            "50 ns to 3 µs": "You expected what most machines show. Look at the interval in the row of the timer.",
            "more than 3 µs": "You thought of a switch to another process, as strace needs it. The BPF program runs "
            "inside the call: compare the rows of the timer and of strace.",
        },
    ),
    "06-p6": Replies(
        {
            "the tracepoints of pread64": "You thought that the precise hook must be the expensive one. A "
            "bystander that does not call pread64 never reaches it; every call of every process reaches the "
            "raw one.",
            "the raw tracepoints of all calls": "That is what most machines show. Here the two intervals "
            "overlap: this run cannot tell.",
        },
    ),
}
