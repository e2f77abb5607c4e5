# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 08."""

from __future__ import annotations

from labkit.lessons.uring.tools import HANDED, RESULTS
from labkit.notebook.question import Hint, Question, text, whole
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]

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
        why="A call that succeeds says nothing about its requests: each has its own result.",
    ),
    "08-q6": Question(
        ask="Which program counts the requests that went to a worker, by opcode?",
        judge=HANDED.judge,
        why="Requests of other kinds were done at once; only these cost a worker.",
    ),
}

PREDICTIONS = {
    "08-p1": Replies(
        {
            "our rings": "You expected a library to cost something. It writes to the same memory: the column "
            "calls is the same in both rows.",
            "liburing": "You expected a library to know a trick. There is none: the column calls is the same in "
            "both rows.",
        },
        usual="the same number",
    ),
    "08-p2": Replies(
        {
            "2": "You counted one call to submit and one to wait. One call does both, and for 32 reads.",
            "1": "You expected one call per read. That is the row of batch 1; look at that of batch 32.",
            "1/2": "You expected a batch to save half. One call is shared by the whole batch: see calls_per_io.",
        },
        usual="1/32",
        again=lambda n: Again(
            f"Batches of {n}, and one call for each. How many system calls does one request take?",
            [1, f"1/{n}", n],
            f"1/{n}",
            "The call is shared by the batch.",
        ),
    ),
    "08-p3": Replies(
        {
            "once for each read": "You thought that somebody must tell the kernel. A kernel thread looks at the "
            "ring itself: add up the columns submits, waits and wakes.",
            "once for each batch": "You thought of the ring without iou-sqp. With it even a batch needs no call: "
            "add up the columns submits, waits and wakes.",
            "hardly ever, or never": "You expected the kernel thread to stay awake. In this run it fell asleep "
            "and had to be woken: see the column wakes.",
        },
        usual="hardly ever, or never",
    ),
    "08-p4": Replies(
        {
            "the program": "You expected a call to be cheap enough. In this run another way needs less: compare "
            "the CPU time per I/O of the arms, with their intervals.",
            "iou-sqp on its own CPU (program sleeps)": "You thought that no call to submit means no cost. The "
            "kernel thread looks at the ring all the time, and its time counts: see the CPU time per I/O of its "
            "row.",
            "iou-sqp on its own CPU (program polls)": "You thought that no calls at all means no cost. Two "
            "threads look all the time, and both need a CPU: see the CPU time per I/O of that row.",
            "iou-sqp on the program's CPU": "You thought that one CPU costs less than two. The two threads take "
            "it from each other, and each switch costs time: see the CPU time per I/O of that row.",
        },
    ),
    "08-p5": Replies(
        {
            "512 B": "You expected the fixed part to weigh most in the smallest read. In this run the intervals "
            "say otherwise, or say nothing.",
            "4 KiB": "You expected the usual block size to be best. What is saved is the same for each read, so its "
            "share is largest where the read is shortest: compare the ratios.",
            "64 KiB": "You expected more bytes to save more. What is saved does not grow with the bytes, and the "
            "copy does: compare the ratios.",
        },
    ),
    "08-p6": Replies(
        {
            "none": "You thought that data in memory needs no worker. tmpfs cannot say in advance that it will "
            "not block, so since Linux 6.5 each read goes to a worker: see punted.",
            "some": "You expected it to depend on the block. It depends on the file system: all of them, or none.",
            "all": "You expected tmpfs to need workers. On this kernel it does not, as on all before Linux 6.5: see "
            "punted.",
        },
        usual="all",
    ),
    "08-p7": Replies(
        {
            "96": "You counted one call per operation, as without io_uring. All 96 requests are in one batch.",
            "32": "You counted one call per file. The chains of all files are submitted together.",
            "3": "You counted one call per step: open, read, close. The kernel goes on by itself from one link "
            "to the next.",
        },
        usual="1",
        again=lambda n: Again(
            f"{n} chains of 4 linked requests are in the ring. One call submits them. How many requests does the "
            "kernel take?",
            [n, 4, 4 * n],
            4 * n,
            "One call, and each link of each chain is a request of its own.",
        ),
    ),
    "08-p8": Replies(
        {
            "plain calls": "You expected the plain way to be good enough. Cold files make each plain call wait "
            "for the disk, one after another: see the ratio.",
            "io_uring": "You expected many waits at a time to win. In this run the interval says otherwise: the "
            "files may still be in the page cache of the host.",
        },
        usual="io_uring",
    ),
    "08-p9": Replies(
        {
            "as submitted: the longest first": "You thought of a queue. Results come when they are ready: "
            "asked_ns grows from row to row in the table.",
        },
        usual="as they expire: the shortest first",
    ),
}
