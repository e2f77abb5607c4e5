"""The exercises of lesson 09."""

from __future__ import annotations

from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]

QUESTIONS = {
    "09-q1": Question(
        ask="How many round trips did the pair make?",
        read=whole,
        first="run, where the shortcut can be had, the cell with sockmap.how_many_round_trips",
        hints=(
            Hint(lambda answer, truth: 2 * truth <= answer <= 2 * truth + 8, "A round trip is two messages."),
            Hint(
                lambda answer, truth: 0 < answer - truth <= 4,
                "Nearly. On each connection the server first sent one greeting: how many connections were there?",
            ),
        ),
        otherwise="Each connection put two sockets in the map and began with one greeting; the rest are round trips.",
        why="Each message met the program once, so its counter knows what nobody told you.",
    ),
    "09-q2": Question(
        ask="Which run was set up differently? Give its number.",
        read=whole,
        first="run, where the shortcut can be had, the cell with sockmap.which_run_is_odd",
        hints=(Hint(lambda answer, truth: answer == 0, "The runs are numbered from 1, in the column run."),),
        otherwise="Two runs may differ in the arm. Look for a run that differs from the others in something else.",
        why="Its two processes ran on two cores, and that outweighs the shortcut. Change one thing at a time.",
    ),
    "09-q3": Question(
        ask="For how many sockets had the map room?",
        read=whole,
        first="run, where the shortcut can be had, the cell with sockmap.how_much_room",
        hints=(
            Hint(lambda answer, truth: answer == 46, "So many sockets asked for a place. How many got one?"),
            Hint(lambda answer, truth: answer == 46 - truth, "So many were refused. The others went in."),
        ),
        otherwise="Sockets went in until the map was full; the others were refused and counted.",
        why="A full map costs speed and not a byte: what finds no place stays plain TCP.",
    ),
    "09-q4": Question(
        ask='A log server receives small lines from many programs and never answers. Shortcut or plain "tcp"?',
        read=text,
        truth=lambda: "tcp",
        right=lambda answer, truth: "tcp" in answer and "sockmap" not in answer and "short" not in answer,
        otherwise="That is a stream of small messages. Look at the throughput of 64-byte messages again.",
        why="Nobody waits for an answer, and TCP packs many small lines into one segment; the shortcut cannot.",
    ),
}
