# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 11."""

from __future__ import annotations

from labkit.notebook.question import Hint, Question, number, text, whole
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]

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
                "Too few. epoll_ctl is called when a connection begins or ends. One call that waits may report many "
                "connections. Count a call that is made once per answer.",
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

PREDICTIONS = {
    "11-p1": Replies(
        {
            "less than 1": "You expected one call to serve many clients. epoll_wait does, but each request still "
            "needs its own recvfrom and sendto: see calls_per_request.",
            "about 1": "You counted the answer only. A request is received by one call and answered by another "
            "one: see calls_per_request.",
            "about 3": "You counted wait, receive and send. That is right for one client; with 64, one "
            "epoll_wait reports many connections, and its share nearly disappears.",
        },
        usual="about 2",
        again=lambda n: Again(
            f"epoll, {n} clients that are all ready at once: one epoll_wait reports all. How many calls for {n} "
            "requests?",
            [n, 2 * n + 1, 3 * n],
            2 * n + 1,
            "One wait for all, then one receive and one send each.",
        ),
    ),
    "11-p2": Replies(
        {
            "about 1": "You expected one call per request. One io_uring_enter submits the answers to many "
            "clients and brings their next requests: see calls_per_request.",
            "about 2": "You thought of receive and send. Both are requests in the ring, not calls: see "
            "calls_per_request.",
            "about 3": "You thought of epoll with one client. The ring replaces all three calls: see "
            "calls_per_request.",
        },
        usual="less than 1",
    ),
    "11-p3": Replies(
        {
            "threads": "You expected a thread per connection to use the machine best. Here the clients need CPU "
            "time, too, and each switch between threads costs some: see the intervals of the requests per second.",
            "epoll": "You expected the proven way to win. See the intervals of the other ways: they do not hold 1.",
            "uring": "You expected fewer calls to be enough. With single requests each one is still submitted "
            "again: see its interval, and that of multishot.",
            "multishot": "You expected the fewest calls to win. The slower of server and clients decides, and "
            "that need not be the server: see the CPU time per request as well.",
            "no difference shown": "You expected the clients to be the limit. In this run the interval of one "
            "way does not hold 1: see the sentences.",
        },
    ),
    "11-p4": Replies(
        {
            "less": "You took the name for the fact. On loopback the kernel copies all the same, as its "
            "notifications say: compare the columns notifications and copied_notifications.",
            "no difference shown": "You expected the copy that stays to be all. Each send has a second result, "
            "which costs time, too: see the ratio and its interval.",
            "more": "You expected the second result to cost time. In this run its cost is within the noise: see "
            "the interval.",
        },
    ),
    "11-p5": Replies(
        {
            "about the same": "You thought that a request waits only in the server. It waits before it is sent, "
            "too, and a clock that starts at the send does not see that: compare the two p99s of the last row.",
            "up to twice as long": "You expected the wait to be as long as the service. Beyond saturation it "
            "grows without end: compare the two p99s of the last row.",
            "more than twice as long": "You expected a long queue. In this run the server kept up with what was "
            "offered: see the answered rate of the last row.",
        },
        usual="more than twice as long",
        again=lambda n: Again(
            f"Requests are due every 10 ms, and each takes {n + 10} ms, one at a time. After 100 requests, how "
            "long has the last one waited before it was sent?",
            ["0 ms", f"about {n} ms", f"about {n * 100} ms"],
            f"about {n * 100} ms",
            f"Each request adds {n} ms to the wait of all that follow.",
        ),
    ),
    "11-p6": Replies(
        {
            "1": "You expected the kernel to choose. It does so only if the program asks for it: see plain and "
            "exclusive in the column of the wake-ups per connection.",
            "2, one per CPU": "You expected as many as can run at the same time. The kernel wakes whoever waits, "
            "however many CPUs there are: see the wake-ups per connection.",
            "all 16": "You expected the worst. In this run the kernel woke fewer: see the wake-ups per connection.",
        },
        usual="all 16",
        again=lambda n: Again(
            f"{n + 3} threads share a port with EPOLLEXCLUSIVE, and {n} connections come one after the other. How "
            "many wake-ups?",
            [n, n + 3, n * (n + 3)],
            n,
            "One thread for each connection; the others sleep on.",
        ),
    ),
}
