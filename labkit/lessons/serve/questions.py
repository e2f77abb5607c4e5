# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 11."""

from __future__ import annotations

from labkit.notebook.question import Hint, Question, number, text, whole

__all__ = ["QUESTIONS"]

MOST_CONNECTIONS = 61  # of the two exercises with a program of the learner's

QUESTIONS = {
    "11-q1": Question(
        ask="Which of A, B and C has a thread for each connection?",
        read=text,
        first="run the cell with serve.which_way",
        hints=(
            Hint(lambda answer, truth: answer not in ("a", "b", "c"), 'Answer "A", "B" or "C".'),
            Hint(
                lambda answer, truth: True,
                "One of the others makes about two calls per request, too. What does a thread do while it waits?",
            ),
        ),
        why="Each thread sleeps until its own connection has something: about one sleep per request.",
    ),
    "11-q2": Question(
        ask="How many requests did the epoll server answer?",
        read=whole,
        first="load a program with %%bpf, and run the cell with serve.count_by_calls",
        hints=(
            Hint(lambda answer, truth: answer == 0, "Nothing was counted. Which call does the server answer with?"),
            Hint(
                lambda answer, truth: 0 < answer - truth <= MOST_CONNECTIONS,
                "Nearly. If you counted recvfrom: each connection ends with one that returns 0 bytes.",
            ),
            Hint(
                lambda answer, truth: 0 < answer < truth,
                "Too few. One epoll_wait may report many connections. Count a call that is made once per answer.",
            ),
        ),
        otherwise="Count the calls of sendto: this server answers each request of 64 bytes with one.",
        why="Without a ring, no answer leaves the server without a system call.",
    ),
    "11-q3": Question(
        ask="How many requests did the server by io_uring answer?",
        read=whole,
        first="load a program with %%bpf, and run the cell with serve.count_in_the_ring",
        hints=(
            Hint(
                lambda answer, truth: answer == 0,
                "Nothing was counted: this server makes no such call. Its sends are entries of a ring.",
            ),
            Hint(
                lambda answer, truth: 0 < answer - truth <= 2 * MOST_CONNECTIONS + 2,
                "Nearly. Each connection has a receive and a close in the ring, too. Look at args->opcode.",
            ),
            Hint(
                lambda answer, truth: 0 < answer < truth,
                "Too few. One io_uring_enter may carry many sends. Count the entries, not the calls.",
            ),
        ),
        otherwise="Count the events io_uring_submit_req whose opcode is IORING_OP_SEND.",
        why="What goes through a ring is seen by the tracepoints of io_uring, and not by those of system calls.",
    ),
    "11-q4": Question(
        ask="How many clients were there? (10 % off is good enough.)",
        read=number,
        first="run the cell with serve.how_many_connections",
        hints=(
            Hint(
                lambda answer, truth: answer > 1000 * truth,
                "Mind the units: the latency is in nanoseconds, the rate is per second.",
            ),
        ),
        otherwise="Little's law: requests in flight = requests per second x mean latency in seconds.",
        why="Each client always has one request in flight, so that number is the number of clients.",
        tolerance=0.1,
    ),
}
