# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 03."""

from __future__ import annotations

from labkit.lessons.verifier.gallery import GALLERY
from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]

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
