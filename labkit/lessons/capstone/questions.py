# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 10."""

from __future__ import annotations

from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]

QUESTIONS = {
    "10-q1": Question(
        ask='Which of A, B, C and D is journal mode "persist"?',
        read=text,
        first="run the cell with capstone.which_journal",
        hints=(
            Hint(lambda answer, truth: answer not in ("a", "b", "c", "d"), 'Answer "A", "B", "C" or "D".'),
            Hint(lambda answer, truth: True, "persist leaves its journal where it is: nothing to unlink or to cut."),
        ),
        why="delete unlinks its journal, truncate cuts it to nothing, and wal has the fewest syncs.",
    ),
    "10-q2": Question(
        ask="How many transactions were there?",
        read=whole,
        first="load a program with %%bpf, and run the cell with capstone.count_transactions",
        hints=(
            Hint(
                lambda answer, truth: answer == 4 * truth, "That is the number of syncs. A transaction makes several."
            ),
            Hint(
                lambda answer, truth: answer == 2 * truth,
                "Twice too many. If you counted openat: each transaction opens its journal, and its folder too.",
            ),
            Hint(
                lambda answer, truth: answer == 1,
                "One write is the application's report to the lab. SQLite itself makes other calls.",
            ),
            Hint(
                lambda answer, truth: answer == 0,
                "Nothing was counted. Which of fsync and fdatasync is in your table of calls?",
            ),
        ),
        otherwise="Count the syncs, and divide by syncs_per_transaction of `delete, full` in the first table of sums.",
        why="With synchronous = full no transaction commits without its syncs, and you can see them from outside.",
    ),
    "10-q3": Question(
        ask="Which process committed after each row? Give its pid.",
        read=whole,
        first="load a program with %%bpf, and run the cell with capstone.who_commits",
        hints=(Hint(lambda answer, truth: answer < 1000 < truth, "That is a count. The key of your map is the pid."),),
        otherwise="All four stored the same number of rows. Which one made the most syncs?",
        why="The same rows, many more syncs: that is what a forgotten BEGIN looks like from outside.",
    ),
    "10-q4": Question(
        ask="How many bytes did it write into its log?",
        read=whole,
        first="load a program with %%bpf, and run the cell with capstone.log_size",
        hints=(
            Hint(
                lambda answer, truth: 0 < answer < truth / 20,
                "Too few bytes for a log. Add up sizes, do not count calls; and SQLite uses pwrite64, not write.",
            ),
            Hint(
                lambda answer, truth: 0 < answer - truth < 1000,
                "Nearly. If you added up write too: one write is the application's report to the lab.",
            ),
        ),
        otherwise="Add up `args->count` of every pwrite64, of the application only.",
        why="The log that it left behind has exactly this size.",
    ),
}
