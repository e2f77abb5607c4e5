# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 07."""

from __future__ import annotations

from labkit.notebook.question import Hint, Question, number, text, whole
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]

QUESTIONS = {
    "07-q1": Question(
        ask='Which of A, B and C is libaio? Answer "A", "B" or "C".',
        read=text,
        first="run the cell with io_engines.who_blocks, on a machine with BPF and all engines",
        hints=(
            Hint(
                lambda answer, truth: answer in ("a", "b", "c"),
                "One of them makes no call to wait: that is sync. Which of the other two sleeps in the wrong call?",
            ),
        ),
        otherwise="libaio has a call to wait for I/Os, but here it sleeps while it submits them.",
        why="The file was cold and not opened with O_DIRECT: io_submit did the reads itself, one after another.",
    ),
    "07-q2": Question(
        ask="How deep was the queue?",
        read=whole,
        first="run the cell with io_engines.deep, on a machine with io_uring or libaio",
        hints=(Hint(lambda answer, truth: answer == 10 * truth, "That is the number of all I/Os."),),
        otherwise="How many I/Os were in flight at once, at most? io_engines.overlap(unknown) counts them.",
        why="The program starts new I/Os until its queue is full, so the most I/Os in flight are the depth.",
    ),
    "07-q3": Question(
        ask="How many I/Os were submitted per call?",
        read=whole,
        first="run the cell with io_engines.batches, on a machine with BPF and io_uring or libaio",
        hints=(
            Hint(
                lambda answer, truth: answer == 960 // truth,
                "That is the number of calls. How many I/Os does one of them submit?",
            ),
            Hint(lambda answer, truth: answer == 32, "That is the depth. Divide the I/Os by the calls that submit."),
        ),
        otherwise="Divide ios by the count of the call that submits.",
        why="One system call per batch instead of one per I/O: that is what batching saves.",
    ),
    "07-q4": Question(
        ask="How long does one I/O take on average, in microseconds?",
        read=number,
        first="run the cell with io_engines.law, on a machine with io_uring or libaio",
        tolerance=0.34,  # a third, as the question says
        hints=(
            Hint(lambda answer, truth: answer > 300 * truth, "That looks like nanoseconds. Give microseconds."),
            Hint(lambda answer, truth: answer < truth / 300, "That looks like seconds. Give microseconds."),
        ),
        otherwise="Little's law: in flight = rate times latency. Divide the depth by ios_per_s, and watch the unit.",
        why="The law holds for anything that queues: reads, requests, people at a counter.",
    ),
}

PREDICTIONS = {
    "07-p1": Replies(
        {
            "8, 8, 8": "You expected every engine to use its queue. sync has none: the picture shows one lane for it.",
            "1, 1, 8": "You thought that libaio waits for each read. With O_DIRECT it does not: the picture "
            "shows eight lanes for it.",
            "1, 1, 1": "You thought that a disk does one thing at a time. Count the lanes in the picture: two "
            "engines have eight reads open at once.",
        },
        usual="1, 8, 8",
        again=lambda n: Again(
            f"{n} threads read synchronously, each one block at a time. How many reads are in flight at most?",
            [1, n, n * n],
            n,
            "A synchronous read is one in flight for each thread that waits.",
        ),
    ),
    "07-p2": Replies(
        {
            "1": "You expected one call per read, as with sync. One call submits a batch of 8: the column of "
            "calls per I/O is below 1.",
            "2": "You counted one call to submit and one to wait. Both are for a batch of 8: divide by 8.",
            "16": "You multiplied by the batch. A batch saves calls: the column of calls per I/O is below 1.",
        },
        usual="less than 1",
        again=lambda n: Again(
            f"{n * 8} reads, in batches of {n}: one call submits a batch and waits for it. How many calls is that?",
            [8, n, 8 * n],
            8,
            "One call for each batch.",
        ),
    ),
    "07-p3": Replies(
        {
            "I/Os per second": "You expected the disk to go on as before. Beyond some depth it is busy all the "
            "time: the marks go up in the picture, not to the right.",
            "the latency of each": "You expected the disk to be at its limit. In this run it was not yet: the "
            "marks still go to the right.",
        },
        again=lambda n: Again(
            f"A disk does {n}000 I/Os per second and is busy all the time. The depth goes from 16 to 64. What happens?",
            ["four times the rate", "four times the latency", "nothing"],
            "four times the latency",
            "Little's law: in flight = rate × latency, and the rate is at its limit.",
        ),
    ),
    "07-p4": Replies(
        {
            "more I/Os, more bytes per second": "You expected a large block to cost no more than a small one. "
            "Compare the I/Os per second of the two block sizes: there are fewer.",
            "fewer I/Os, fewer bytes per second": "You expected the loss in I/Os to outweigh the size. Multiply: "
            "fewer I/Os, each 256 times as large, are more bytes per second.",
            "fewer I/Os, more bytes per second": "You expected the fixed cost of an I/O to matter. In this run "
            "it did not: something else, such as a limit of the machine, decided.",
        },
        usual="fewer I/Os, more bytes per second",
    ),
    "07-p5": Replies(
        {
            "none": "You thought that asynchronous calls never wait. Look at slept in the row of io_submit.",
            "io_uring_enter": "You expected the new interface to be the one that waits. It hands such a read to a "
            "worker: compare slept of io_submit and of io_uring_enter (submit).",
            "io_submit, io_uring_enter": "You thought that a cold file must make both wait. io_uring first asks "
            "whether it would have to wait, and then does not: its row has hardly any sleeps.",
            "io_submit": "You expected the old interface to wait. On this kernel, or this file system, its calls "
            "did not sleep: see the column slept.",
        },
        usual="io_submit",
    ),
    "07-p6": Replies(
        {
            "io_uring": "You expected the newer way to be faster. The data is in memory, so there is nothing to "
            "wait for, and a worker that is woken costs more: see the column with the workers.",
            "they are equal": "You expected the same copy to take the same time. The copy is the same, but a "
            "worker does it: see the ratio and its interval.",
            "sync": "You expected workers to cost a lot. In this run the interval says otherwise: perhaps your "
            "kernel reads a tmpfs without one, as all did before Linux 6.5.",
        },
    ),
    "07-p7": Replies(
        {
            "nothing": "You looked at the rate alone. It can be the same. But each read of the pool is a call: compare "
            "the calls per I/O.",
            "system calls; no difference of CPU time is shown": "You expected sleeping and waking to cost little. "
            "Each read of the pool puts a thread to sleep and wakes it: see the interval of the CPU time.",
            "system calls and CPU time": "You expected a call per read to show in CPU time. In this run the "
            "difference is within the noise: see the interval.",
        },
        usual="system calls and CPU time",
    ),
}
