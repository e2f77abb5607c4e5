# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 02."""

from __future__ import annotations

from labkit.lessons.maps.exercises import FULL, RACE
from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]

QUESTIONS = {
    "02-q1": Question(
        ask="Which thread slept twice as long as the others? Give its tid.",
        read=whole,
        first="on a machine where BPF works, run the cell with maps.slow_thread",
        hints=(Hint(lambda answer, truth: answer > 10**6, "That looks like a time. The thread's number is in tid."),),
        otherwise='Compare the threads: threads.groupby("tid")["latency_ns"].median().',
        why="Each duration was kept under the number of its own thread, so no thread used another thread's start time.",
    ),
    "02-q2": Question(
        ask="How many different sizes did the workload write, each of them once?",
        read=whole,
        first="on a machine where BPF works, run the cell with maps.too_many_sizes",
        hints=(
            Hint(lambda answer, truth: answer == 64, "That is what the map had room for. What did it refuse?"),
            Hint(lambda answer, truth: answer == truth - 64, "Those were refused. What about the keys in the map?"),
        ),
        otherwise="Each size came once. Some are in the map, and the others were refused.",
        why="A full map that counts what it refuses still tells the truth about how much there was.",
    ),
    "02-q3": Question(
        ask="Which size, in bytes, did the workload write?",
        read=whole,
        first="run the cell that calls maps.hidden_size()",
        hints=(
            Hint(lambda answer, truth: answer == 101, "That is how many writes there were."),
            Hint(
                lambda answer, truth: 0 < truth - answer < 64, "That is where the bar begins. Make the bars narrower."
            ),
        ),
        otherwise="Call maps.hidden_size() again, with a first_bytes and a bar_bytes that look closer at your bar.",
        why="A log2 histogram says how large, about; a linear one says it as exactly as its bars are narrow.",
    ),
    "02-q4": Question(
        ask="You count a million events per second on 64 CPUs. In which map does each CPU count without wait or loss?",
        read=text,
        truth=lambda: "per-CPU array",
        right=lambda answer, truth: "cpu" in answer,
        hints=(
            Hint(lambda answer, truth: "atomic" in answer, "It loses nothing, but the CPUs wait for one slot."),
            Hint(lambda answer, truth: answer == "array", "Two CPUs that read the same old value lose an update."),
        ),
        otherwise='It is one of "array", "atomic array", "per-CPU array" and "hash".',
        why="Nobody else writes this CPU's slot; the sum is made once, when somebody reads it.",
    ),
    "02-q5": Question(
        ask="Which program counts every call of getppid, on all CPUs?",
        judge=RACE.judge,
        why="An atomic addition or a slot per CPU: both are right, and a plain += is right only by luck.",
    ),
    "02-q6": Question(
        ask="Which program counts the writes by size, and those for which there is no room?",
        judge=FULL.judge,
        why="Now the two maps hold every write, and a full map is seen.",
    ),
}
