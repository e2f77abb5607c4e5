# SPDX-License-Identifier: Apache-2.0
"""The exercises of lesson 07."""

from __future__ import annotations

from labkit.notebook.question import Hint, Question, number, text, whole

__all__ = ["QUESTIONS"]

QUESTIONS = {
    "07-q1": Question(
        ask='Which of A, B and C is libaio? Answer "A", "B" or "C".',
        read=text,
        first="run the cell with io_engines.who_blocks, on a machine with BPF and all engines",
        hints=(
            Hint(
                lambda answer, truth: answer in ("a", "b", "c"),
                "One of them makes no call to wait: that is sync. Which of the other two sleeps in the wrong call?",
            ),
        ),
        otherwise="libaio has a call to wait for I/Os, but here it sleeps while it submits them.",
        why="The file was cold and not opened with O_DIRECT: io_submit did the reads itself, one after another.",
    ),
    "07-q2": Question(
        ask="How deep was the queue?",
        read=whole,
        first="run the cell with io_engines.deep, on a machine with io_uring or libaio",
        hints=(Hint(lambda answer, truth: answer == 10 * truth, "That is the number of all I/Os."),),
        otherwise="How many I/Os were in flight at once, at most? io_engines.overlap(unknown) counts them.",
        why="The program starts new I/Os until its queue is full, so the most I/Os in flight are the depth.",
    ),
    "07-q3": Question(
        ask="How many I/Os were submitted per call?",
        read=whole,
        first="run the cell with io_engines.batches, on a machine with BPF and io_uring or libaio",
        hints=(
            Hint(
                lambda answer, truth: answer == 960 // truth,
                "That is the number of calls. How many I/Os does one of them submit?",
            ),
            Hint(lambda answer, truth: answer == 32, "That is the depth. Divide the I/Os by the calls that submit."),
        ),
        otherwise="Divide ios by the count of the call that submits.",
        why="One system call per batch instead of one per I/O: that is what batching saves.",
    ),
    "07-q4": Question(
        ask="How long does one I/O take on average, in microseconds?",
        read=number,
        first="run the cell with io_engines.law, on a machine with io_uring or libaio",
        tolerance=0.34,  # a third, as the question says
        hints=(
            Hint(lambda answer, truth: answer > 300 * truth, "That looks like nanoseconds. Give microseconds."),
            Hint(lambda answer, truth: answer < truth / 300, "That looks like seconds. Give microseconds."),
        ),
        otherwise="Little's law: in flight = rate times latency. Divide the depth by ios_per_s, and watch the unit.",
        why="The law holds for anything that queues: reads, requests, people at a counter.",
    ),
}
