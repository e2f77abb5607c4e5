# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 02."""

from __future__ import annotations

from labkit.lessons.maps.exercises import FULL, RACE
from labkit.notebook.question import Hint, Question, text, whole
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]

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
        why="A full map that counts what it refuses still shows how many there were.",
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
        why="A log2 histogram gives the rough size. A linear one is as exact as its bars are narrow.",
    ),
    "02-q4": Question(
        ask="You count a million events per second on 64 CPUs. Which map needs no waiting and loses nothing?",
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

PREDICTIONS = {
    "02-p1": Replies(
        {
            "always about 2 ms": "You expected each exit to find its own start. With one slot the other thread "
            "replaces it: the picture of the one slot has sleeps that are shorter than any sleep can be.",
            "often more than 2 ms": "You expected a start that is too old. What is in the slot is the newest "
            "start, of whichever thread: so the times are too short, as the picture shows.",
        },
        usual="often less than 2 ms",
        again=lambda n: Again(
            f"One slot holds the start of a call. Thread A starts a call of {n} ms; {n // 2} ms later thread B "
            "starts one. What is measured when A's call ends?",
            [f"{n} ms", f"{n - n // 2} ms", f"{n // 2 + n} ms"],
            f"{n - n // 2} ms",
            "The start in the slot is that of B.",
        ),
    ),
    "02-p2": Replies(
        {
            "exactly 200006": "You expected += to be one step. It is three: read, add, write. In the table the row of "
            "the plain array has lost updates; those of the atomic and the per-CPU array have none.",
            "more than 200006": "You expected something to be counted twice. Two CPUs read the same old value "
            "and write the same new one: the table shows fewer, never more.",
        },
        usual="less than 200006",
        again=lambda n: Again(
            f"Two CPUs add 1 to a plain slot {n}000 times each, at the same time, without an atomic. What can it hold?",
            [f"exactly {2 * n}000", f"{2 * n}000 or less", f"{2 * n}000 or more"],
            f"{2 * n}000 or less",
            "An update can be lost, and none can be made up.",
        ),
    ),
    "02-p3": Replies(
        {
            "log2: 1, linear: 1": "You expected 600 and 1000 to share a bar in both. The linear bars are 64 bytes "
            "wide, so the two sizes are in bars far apart: the table has two linear rows.",
            "log2: 2, linear: 2": "You expected log2 bars to be narrow. The bar from 512 to 1023 holds both "
            "sizes: the table has one log2 row, with all 1009 writes.",
        },
        usual="log2: 1, linear: 2",
        again=lambda n: Again(
            f"Half of the reads take {128 + n} ns and half take {255 - n // 2} ns. How many log2 bars have reads "
            "in them?",
            [1, 2, n],
            1,
            "Both times are between 128 and 255 ns: one bar.",
        ),
    ),
    "02-p4": Replies(
        {
            "34 to 97": "You thought of a hash that forgets the oldest. That is the LRU hash. An ordinary one "
            "refuses new keys: see the smallest and the largest key in its row.",
            "any 64 of them": "You thought that a hash replaces entries at random. It replaces none: the first "
            "64 keys stay, and 33 updates are refused, as the table shows.",
            "none: it broke": "You expected a full map to fail as a whole. Only the new keys fail; what is in it "
            "stays right.",
        },
        usual="1 to 64",
        again=lambda n: Again(
            f"A hash has room for {n} keys. The keys 1 to {n + 20} come one after another. What is in it?",
            [f"1 to {n}", f"21 to {n + 20}", f"any {n} of them"],
            f"1 to {n}",
            "A full hash keeps what it has, and refuses new keys.",
        ),
    ),
    "02-p5": Replies(
        {
            "1, 2, 3, 4, …": "You thought that records come in the order of their events. There is one perf "
            "buffer for each CPU, and they are read one after another: the printed line begins with one thread's "
            "numbers only.",
            "in no order at all": "You expected no order at all. Each CPU's own records keep their order: look at the "
            "printed line, each half of it is sorted.",
        },
        usual="1, 3, 5, … and then 2, 4, 6, …",
    ),
    "02-p6": Replies(
        {
            "the perf buffer": "You thought that the older channel must be the slow one. The sentence under the "
            "table compares the two: what costs several times as much is the pair of rows with waking.",
            "waking the reader each time": "You expected waking to be the most. In this run it is not: a reader "
            "that is awake already need not be woken.",
            "nothing: all the same": "You expected every record to cost the same. The rows with waking in the table "
            "take several times as long as those without.",
        },
    ),
}
