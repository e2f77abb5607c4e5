# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 04."""

from __future__ import annotations

from labkit.lessons.probes.exercises import DEEPEST, NAPS
from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]

QUESTIONS = {
    "04-q1": Question(
        ask="Both functions were called equally often. How many calls of half_hidden did the probe miss?",
        read=whole,
        first="on a machine where BPF works, run the cell with probes.hidden",
        hints=(Hint(lambda answer, truth: answer == 200, "The probe saw those. How many calls were there?"),),
        otherwise="The probe on visible missed nothing, so its count is the number of calls of each function.",
        why="The probe is on the copy that has the symbol. The inlined calls never reach that copy.",
    ),
    "04-q2": Question(
        ask="What did the program pass to nap() at its first call (in microseconds)?",
        read=whole,
        first="on a machine where BPF works, run the cell with probes.nap_mystery",
        hints=(
            Hint(
                lambda answer, truth: answer == 2 * truth,
                "That is what nap() returned. Look at the last line of its source.",
            ),
        ),
        otherwise="nap() returns twice its argument; the first call is the one with number 1.",
        why="A probe at the return sees the result, and the source says how it was computed.",
    ),
    "04-q3": Question(
        ask='Which function uses most of the time: "apple", "pear" or "plum"?',
        read=text,
        first="on a machine where BPF works, run the cell with probes.busy_fruit",
        otherwise="Look for the widest box below work_burn. pear calls plum, so one box of plum is below pear.",
        why="The width of a box is the share of the samples in the function or in a function that it called.",
    ),
    "04-q4": Question(
        ask="You write a tool for kernels from 5.10 to the newest, and it watches system calls. Which mechanism?",
        read=text,
        truth=lambda: "tracepoint",
        right=lambda answer, truth: "tracepoint" in answer,
        hints=(
            Hint(lambda answer, truth: "kprobe" in answer, "The kernel's functions change from release to release."),
            Hint(lambda answer, truth: "fentry" in answer, "It is fast, but it depends on the names of functions too."),
            Hint(lambda answer, truth: "uprobe" in answer, "It sees the calls of one program, not of all programs."),
        ),
        otherwise="For which of them did the kernel's authors mark places, and keep them?",
        why="The kernel's authors keep tracepoints where they are, and system calls forever.",
    ),
    "04-q5": Question(
        ask="Which program times nap(), by thread?",
        judge=NAPS.judge,
        why="Entry and return of a call run in the same thread, so the thread is the key.",
    ),
    "04-q6": Question(
        ask="Which program finds the deepest recursion of fall(), by thread?",
        judge=DEEPEST.judge,
        why="One more at each entry, one less at each return: that is how a profiler of calls keeps its stack.",
    ),
}
