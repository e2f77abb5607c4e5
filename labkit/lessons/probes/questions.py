# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 04."""

from __future__ import annotations

from labkit.lessons.probes.exercises import DEEPEST, NAPS
from labkit.notebook.question import Hint, Question, text, whole
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]

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

PREDICTIONS = {
    "04-p1": Replies(
        {
            "the same arguments, other results": "You expected the probe to see something other than the caller "
            "does. The return probe reads the register in which the result comes back: the two columns are the "
            "same.",
            "only the decorator sees results": "You thought that a probe sees only how a function is entered. "
            "The second probe of the pair is at the return, and the column returned is filled for both arms.",
        },
        usual="the same arguments and results, about the same times",
    ),
    "04-p2": Replies(
        {
            "each of them 997, the timer too": "You expected the timer to be a probe on step(). It looks at fixed "
            "moments, whatever runs then: its count follows from the time, not from the calls.",
            "about 997 each": "You thought of sampling. Only the timer samples: all others have exactly 997 in "
            "the table.",
        },
        usual="each of them 997, but not the timer",
        again=lambda n: Again(
            f"A function is called {n} times in one second. A timer samples 100 times per second. What does the "
            "timer count?",
            [n, f"something between 0 and 100, whatever {n} is", 100 * n],
            f"something between 0 and 100, whatever {n} is",
            "A sample says who runs at a moment. It does not count calls.",
        ),
    ),
    "04-p3": Replies(
        {
            "uprobe, tracepoint, strace": "You thought that what is in the program must be near, and so cheap. A "
            "uprobe is a trap into the kernel and back: compare its row with that of the tracepoint.",
            "strace, tracepoint, uprobe": "You thought that a ready-made tool must be quick. strace stops the "
            "process twice per call and switches to another process: its row is many times the others.",
        },
        usual="tracepoint, uprobe, strace",
    ),
    "04-p4": Replies(
        {
            "23, 23, 23": "You thought that every function in the source is in the program. The compiler has put "
            "the body of hidden where its calls were: there is no row to count for it.",
            "23, 0, and hidden cannot be probed": "You thought that an inlined function is never called. Its "
            "copy under the name half_hidden is called through the pointer: 7 times in the table.",
        },
        usual="23, 7, and hidden cannot be probed",
        again=lambda n: Again(
            f"A function is inlined where it is called, and {n} more calls go through a pointer. A uprobe is on "
            "its name. What does it count?",
            [0, n, "all of them, inlined or not"],
            n,
            "Only the copy under that name has the probe.",
        ),
    ),
}
