# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 04."""

from __future__ import annotations

from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]

QUESTIONS = {
    "04-q1": Question(
        ask="Both functions were called equally often. How many calls of half_hidden did the probe miss?",
        read=whole,
        first="on a machine where BPF works, run the cell with probes.hidden",
        hints=(Hint(lambda answer, truth: answer == 200, "Those were seen. How many were made?"),),
        otherwise="The probe on visible missed nothing, so it says how many calls each function got.",
        why="The probe sits on the copy that has the symbol; the inlined calls never come by there.",
    ),
    "04-q2": Question(
        ask="What did the program pass to nap() at its first call (in microseconds)?",
        read=whole,
        first="on a machine where BPF works, run the cell with probes.nap_mystery",
        hints=(Hint(lambda answer, truth: answer == 2 * truth, "That is what nap() returned. Look at its last line."),),
        otherwise="nap() returns twice its argument; the first call is the one with number 1.",
        why="A probe at the return sees the result, and from the code you know what it was made of.",
    ),
    "04-q3": Question(
        ask='Which function uses most of the time: "apple", "pear" or "plum"?',
        read=text,
        first="on a machine where BPF works, run the cell with probes.busy_fruit",
        otherwise="Look for the widest box below work_burn. pear calls plum, so a part of plum hangs below pear.",
        why="The width of a box is the share of the samples that were in the function, or in one that it called.",
    ),
    "04-q4": Question(
        ask="You write a tool for kernels from 5.10 to the newest, and it watches system calls. Which mechanism?",
        read=text,
        truth=lambda: "tracepoint",
        right=lambda answer, truth: "tracepoint" in answer,
        hints=(
            Hint(lambda answer, truth: "kprobe" in answer, "The kernel's functions change from release to release."),
            Hint(lambda answer, truth: "fentry" in answer, "It is fast, but bound to the names of functions as well."),
            Hint(lambda answer, truth: "uprobe" in answer, "It sees one program's file, not all who make the call."),
        ),
        otherwise="Which of them did the kernel's authors mark for watching, and keep?",
        why="Tracepoints are places that the kernel's authors keep where they are; system calls are kept for ever.",
    ),
}
