"""The exercises of lesson 10."""

from __future__ import annotations

from labkit.notebook.question import Hint, Question, text, whole

__all__ = ["QUESTIONS"]

QUESTIONS = {
    "10-q1": Question(
        ask='Which of A, B, C and D is journal mode "persist"?',
        read=text,
        first="run, where BPF can be had, the cell with capstone.which_journal",
        hints=(
            Hint(lambda answer, truth: answer not in ("a", "b", "c", "d"), 'Answer "A", "B", "C" or "D".'),
            Hint(lambda answer, truth: True, "persist leaves its journal where it is: nothing to unlink or to cut."),
        ),
        why="delete unlinks its journal, truncate cuts it to nothing, wal has fewer syncs than all of them.",
    ),
    "10-q2": Question(
        ask="How many transactions were there?",
        read=whole,
        first="load a program with %%bpf, and run the cell with capstone.count_transactions",
        hints=(
            Hint(lambda answer, truth: answer == 4 * truth, "So many syncs. How many does one transaction take?"),
            Hint(lambda answer, truth: answer == 2 * truth, "Each transaction opens its journal, and its folder too."),
            Hint(lambda answer, truth: answer == 0, "Nothing was counted. Is it fsync, or fdatasync?"),
        ),
        otherwise="Count the syncs; syncs_per_transaction of `delete, full` says how many a transaction takes.",
        why="Syncs do not lie: the program cannot commit without them, and they can be seen from outside.",
    ),
    "10-q3": Question(
        ask="Which process committed after each row? Give its pid.",
        read=whole,
        first="load a program with %%bpf, and run the cell with capstone.who_commits",
        hints=(Hint(lambda answer, truth: answer < 1000 < truth, "That is a count. The key of your map is the pid."),),
        otherwise="Each stored as many rows. Who made the most syncs?",
        why="As many rows, many more syncs: that is what a forgotten BEGIN looks like from outside.",
    ),
    "10-q4": Question(
        ask="How many bytes did it write into its log?",
        read=whole,
        first="load a program with %%bpf, and run the cell with capstone.log_size",
        hints=(
            Hint(lambda answer, truth: 0 < answer < truth / 20, "Those are the calls. Add up their sizes."),
            Hint(lambda answer, truth: 0 < answer - truth < 1000, "Nearly: its answer to the lab is a write, too."),
        ),
        otherwise="Add up `args->count` of each pwrite64.",
        why="The size of the file that it left behind says the same.",
    ),
}
