# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 09."""

from __future__ import annotations

from labkit.lessons.sockmap.tools import KINDS, REDIRECT
from labkit.notebook.question import Hint, Question, text, whole
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]

QUESTIONS = {
    "09-q1": Question(
        ask="How many round trips did the pair make?",
        read=whole,
        first="run the cell with sockmap.how_many_round_trips",
        hints=(
            Hint(lambda answer, truth: 2 * truth <= answer <= 2 * truth + 8, "A round trip is two messages."),
            Hint(
                lambda answer, truth: 0 < answer - truth <= 4,
                "Nearly. On each connection the server first sent one greeting. How many connections were there?",
            ),
        ),
        otherwise="Each connection put two sockets in the map and began with one greeting; the rest are round trips.",
        why="The program ran once for each message, so its counter has the number that you were not given.",
    ),
    "09-q2": Question(
        ask="Which run was set up differently? Give its number.",
        read=whole,
        first="run the cell with sockmap.which_run_is_odd",
        hints=(Hint(lambda answer, truth: answer == 0, "The runs are numbered from 1, in the column run."),),
        otherwise="Two runs may differ in the arm. Look for a run that differs from the others in something else.",
        why="Its two processes ran on two cores, which matters more than the shortcut. Change one thing at a time.",
    ),
    "09-q3": Question(
        ask="For how many sockets did the map have room?",
        read=whole,
        first="run the cell with sockmap.how_much_room",
        hints=(
            Hint(
                lambda answer, truth: answer == 46,
                "That many sockets asked for a place. How many got one?",
            ),
            Hint(lambda answer, truth: answer == 46 - truth, "That many sockets were refused. The others went in."),
        ),
        otherwise="Sockets went in until the map was full; the others were refused and counted.",
        why="A full map costs speed, but no byte: a socket that finds no place stays plain TCP.",
    ),
    "09-q4": Question(
        ask='A log server on the same core gets small lines from many programs and never answers: "sockmap" or "tcp"?',
        read=text,
        truth=lambda: "tcp",
        right=lambda answer, truth: "tcp" in answer and "sockmap" not in answer and "short" not in answer,
        otherwise="That is a stream of small messages. Look at the throughput of 64-byte messages again.",
        why="Nobody waits for an answer, and TCP packs many small lines into one segment; the shortcut cannot.",
    ),
    "09-q5": Question(
        ask="Which program moves each message to the other end, or lets it go by TCP?",
        judge=REDIRECT.judge,
        why="The right socket, or the ordinary way: a shortcut must never lose a message.",
    ),
    "09-q6": Question(
        ask="Which program counts the messages by their first byte, and lets all of them pass?",
        judge=KINDS.judge,
        why="That is how a proxy in the kernel chooses by what is in a message.",
    ),
}

PREDICTIONS = {
    "09-p1": Replies(
        {
            "thousands, as with TCP": "You thought that a local message must pass lo. The shortcut moves it from "
            "socket to socket: compare lo_packets of the two rows.",
            "half as many as with TCP": "You thought that acknowledgements, or answers, still pass lo. No "
            "segment, no acknowledgement: compare lo_packets.",
            "not a single one": "You forgot the connection itself. TCP opens and closes it, with a few packets: "
            "lo_packets is small, and not 0.",
        },
        usual="a handful",
        again=lambda n: Again(
            f"{n}000 messages go by the shortcut over one connection. Packets that belong to messages, on lo?",
            [0, f"{n}000", f"{2 * n}000"],
            0,
            "Only opening and closing the connection needs packets.",
        ),
    ),
    "09-p2": Replies(
        {
            "Unix socket, sockmap, TCP": "You expected the Unix socket to be the shortest way. In this run the "
            "shortcut is shorter: see the sentences below the table, with their intervals.",
            "sockmap, Unix socket, TCP": "You expected the shortcut to be the shortest way. In this run the Unix "
            "socket is: see the sentences below the table, with their intervals.",
            "Unix socket, TCP, sockmap": "You thought that a program at each send must cost more than it saves. "
            "TCP's whole path through the stack is what it saves: compare the medians.",
        },
    ),
    "09-p3": Replies(
        {
            "TCP": "You expected TCP to put small messages together. In this run that did not decide: compare "
            "messages and lo_packets of TCP.",
            "TCP + sockmap": "You expected the shorter way to carry more. Each small message goes on its own "
            "there, while TCP puts many of them into one packet: compare its messages and lo_packets.",
            "Unix socket": "You expected a socket without a network to carry most. It wraps each small message "
            "in a buffer of its own; TCP puts many together.",
        },
        usual="TCP",
    ),
    "09-p4": Replies(
        {
            "fewer": "You expected the shortcut to cost more than it saves. For requests and answers it saves "
            "the stack twice: see the ratio of TCP to the shortcut.",
            "about as many": "You thought that Redis's own work decides. It is small: see the ratio of TCP to "
            "the shortcut.",
            "up to twice as many": "You expected a moderate gain. See the ratio of TCP to the shortcut, and its "
            "interval.",
            "more than twice as many": "You expected the round trip to be all of it. Redis and the client have work of "
            "their own, which the shortcut does not shorten: see the ratio.",
        },
        usual="up to twice as many",
    ),
}
