# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 10."""

from __future__ import annotations

from labkit.notebook.question import Hint, Question, text, whole
from labkit.notebook.replies import Again, Replies

__all__ = ["PREDICTIONS", "QUESTIONS"]

QUESTIONS = {
    "10-q1": Question(
        ask='Which of A, B, C and D is journal mode "persist"?',
        read=text,
        first="run the cell with capstone.which_journal",
        hints=(
            Hint(lambda answer, truth: answer not in ("a", "b", "c", "d"), 'Answer "A", "B", "C" or "D".'),
            Hint(lambda answer, truth: True, "persist leaves its journal where it is: nothing to remove or to cut."),
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
        otherwise="Count the syncs, and divide by syncs_per_transaction of `delete/full` in the first table of sums.",
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

PREDICTIONS = {
    "10-p1": Replies(
        {
            "once": "You thought of the commit alone. First the old pages must be safe in the journal, and the "
            "folder must know of it: count the syncs per transaction in the table.",
            "twice": "You thought of the journal and the database. The journal is synced twice, and its folder "
            "once: see the table.",
            "three times": "You missed one: the head of the journal has a sync of its own. See the table.",
            "four times": "You knew the four waits. On this machine SQLite makes another number of them: see the "
            "table.",
        },
        usual="four times",
        again=lambda n: Again(
            f"One transaction syncs 4 times. {n} transactions of one row, or one transaction of {n} rows: how "
            "many syncs?",
            [f"{4 * n} and {4 * n}", f"{4 * n} and 4", f"4 and {4 * n}"],
            f"{4 * n} and 4",
            "The syncs belong to the transaction, not to the row.",
        ),
    ),
    "10-p2": Replies(
        {
            "half as many": "You thought that normal leaves out every second sync. It leaves out all but those "
            "of the checkpoint: see syncs_per_transaction.",
            "as many as with full": "You thought that a log must be synced at each commit. That is what full "
            "does: compare the two rows.",
        },
        usual="none, except for checkpoints",
    ),
    "10-p3": Replies(
        {
            "four, as with full": "You expected no difference. extra also waits for the folder after the journal is "
            "removed: one sync more in the table.",
            "eight": "You expected everything twice. Only the folder is synced once more: see the table.",
        },
        usual="five",
    ),
    "10-p4": Replies(
        {
            "as long as before": "You expected each row to cost the same. Most of its time is the wait, "
            "which 16 rows now share: see ns_per_row.",
            "half as long": "You expected a moderate gain. The syncs are shared by 16 rows, and little else "
            "costs time: see ns_per_row.",
            "less than a quarter of it": "You expected the waits to be all of it. In this run the rest of the "
            "work, or a quick disk, leaves more: see ns_per_row.",
        },
        usual="less than a quarter of it",
    ),
    "10-p5": Replies(
        {
            "less than 2": "You expected many requests per call. Without a pipeline each has its own read and "
            "its own write: see calls_per_request.",
            "more than 4": "You expected several calls for each side. One read and one write, and a share of "
            "the call that waits: see calls_per_request.",
            "2 to 4": "You expected a read, a write and a wait. In this run there is another number: see "
            "calls_per_request.",
        },
        usual="2 to 4",
    ),
    "10-p6": Replies(
        {
            "1, because each must be safe": "You thought that safe means one wait each. One sync makes all safe that "
            "were written before it: see syncs_per_request.",
            "about a half": "You expected two requests to share a sync. Up to 50 clients can share one: see "
            "syncs_per_request.",
        },
        usual="less than a tenth",
        again=lambda n: Again(
            f"{n} clients each wait for their answer, and the server syncs once before it answers all of them. "
            "How many syncs per request?",
            [1, f"1/{n}", n],
            f"1/{n}",
            "One sync makes all that was written before it safe.",
        ),
    ),
}
