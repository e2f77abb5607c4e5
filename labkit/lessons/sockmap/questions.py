# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 09."""

from __future__ import annotations

from labkit.lessons.sockmap.tools import KINDS, REDIRECT
from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]

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
