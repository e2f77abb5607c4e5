# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 03."""

from __future__ import annotations

from labkit.lessons.verifier.gallery import GALLERY
from labkit.notebook.question import Hint, Question, text, whole
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]

_CAUSES = sorted({exhibit.cause for exhibit in GALLERY.values()})

QUESTIONS = {
    "03-q1": Question(
        ask="By how many bytes may the pointer be moved at most, as far as the verifier knows?",
        read=whole,
        first="run the cell that calls verifier.log_of_a_mask()",
        hints=(
            Hint(
                lambda answer, truth: answer * 8 == truth, "That is the index. The pointer moves by 8 bytes for each."
            ),
            Hint(lambda answer, truth: answer == truth + 8, "That is where the access ends. Where may it begin?"),
        ),
        otherwise="Look at the last instruction. The line before it says what is known about its register: umax=…",
        why="umax is the largest value that the number can have. The verifier computed it from the mask.",
    ),
    "03-q2": Question(
        ask="How many cells does the row have?",
        read=whole,
        first="call verifier.row_of_secret_size(limit) with some limits",
        hints=(
            Hint(
                lambda answer, truth: abs(answer - truth) == 1,
                "Off by one: with index < limit, the last index is limit - 1.",
            ),
            Hint(lambda answer, truth: answer == 8 * truth, "That is the size in bytes. A cell has 8."),
        ),
        otherwise="An accepted limit is not too large, a rejected one is. Halve the gap, or read the verdict.",
        why="The verifier accepts a limit if and only if each index that passes the test is inside the row.",
    ),
    "03-q3": Question(
        ask="How many times did the workload open its file?",
        read=whole,
        first="fix the program, run its cell, then the cell with verifier.open_files(watch)",
        hints=(Hint(lambda answer, truth: answer == 0, "Did you aim it? open_files(watch) does that for you."),),
        otherwise='Read the map of your program after the workload has run: watch.hash("opens").',
        why="Your program passed the verifier and then counted each open, in the kernel.",
    ),
    "03-q4": Question(
        ask=f"Why was this program rejected? One of: {', '.join(_CAUSES)}.",
        read=text,
        first="run the cell that calls verifier.log_without_a_name()",
        hints=(Hint(lambda answer, truth: answer not in _CAUSES, f"Choose one of: {', '.join(_CAUSES)}."),),
        otherwise="The line before `processed … insns` states it. Compare it with the table of the gallery.",
        why="The last lines of a log state the cause. The lines before them show how the verifier found it.",
    ),
}

PREDICTIONS = {
    "03-p1": Replies(
        {
            "it runs, and counts nothing": "You expected a mistake to show when the program runs. It never runs: "
            "the verdict comes before that, from following every path.",
            "it crashes at the first open": "You thought of a kernel module, which nobody checks. The kernel "
            "refuses this program at load time, so there is nothing that could crash.",
        },
        usual="it is rejected before it runs",
    ),
    "03-p2": Replies(
        {
            "accepted: the index is tested": "You trusted the test. It lets one index too many pass: compare the "
            "largest index in the verdict with the number of cells.",
            "rejected: the index is random": "You thought that the verifier must know a value. It needs only a "
            "range: after a right test even a random index is accepted.",
        },
        usual="rejected: the test allows one index too many",
        again=lambda n: Again(
            f"An array has {n} cells. Which test makes the verifier accept array[i], for an unsigned i?",
            [f"i < {n}", f"i <= {n}", f"i != {n}"],
            f"i < {n}",
            f"The last cell has the index {n - 1}.",
        ),
    ),
    "03-p3": Replies(
        {
            "accepted: a read is never that long": "You know what a process can ask for. The verifier does not: "
            "it knows only what the program tests, and no test ends this loop.",
            "it depends on how many bytes the process asks for": "You thought of the run. The verifier decides "
            "before any run, and once for all of them.",
        },
        usual="rejected: it cannot see the end of the loop",
    ),
    "03-p4": Replies(
        {
            "1 (it knows the limit)": "You expected it to understand the loop. It walks through each round: the "
            "column of instructions grows with the rounds.",
            "about 1000": "You used the number of rounds as the factor. It is a ratio: 1000 rounds to 100 "
            "rounds, and the two numbers in the table are about ten to one.",
        },
        usual="about 10",
        again=lambda n: Again(
            f"A plain loop of 100 rounds costs the verifier {n}00 instructions. About how many do 500 rounds cost it?",
            [f"{n}00", f"{5 * n}00", f"{500 * n}00"],
            f"{5 * n}00",
            "It walks through each round of a plain loop.",
        ),
    ),
}
