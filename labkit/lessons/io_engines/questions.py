"""The exercises of lesson 07."""

from __future__ import annotations

from labkit.notebook.question import Hint, Question, number, text, whole

__all__ = ["QUESTIONS"]

QUESTIONS = {
    "07-q1": Question(
        ask='Which of A, B and C is libaio? Answer "A", "B" or "C".',
        read=text,
        first="run, where BPF and all three engines can be had, the cell with io_engines.who_blocks",
        hints=(
            Hint(lambda answer, truth: answer in ("a", "b", "c"), "One has no call to wait: that is sync. And then?"),
        ),
        otherwise="It has a call to wait for I/Os, and yet it sleeps while it hands them over.",
        why="The file was cold and not opened with O_DIRECT: io_submit did the reads itself, one after the other.",
    ),
    "07-q2": Question(
        ask="How deep was the queue?",
        read=whole,
        first="run, where an asynchronous engine can be had, the cell with io_engines.deep",
        hints=(Hint(lambda answer, truth: answer == 10 * truth, "That is how many I/Os there were in all."),),
        otherwise="How many I/Os were under way at once, at most? io_engines.overlap(unknown) counts them.",
        why="The program starts new I/Os until its queue is full, so the most under way is the depth.",
    ),
    "07-q3": Question(
        ask="How many I/Os were handed over with one call?",
        read=whole,
        first="run, where BPF and an asynchronous engine can be had, the cell with io_engines.parcels",
        hints=(
            Hint(lambda answer, truth: answer == 960 // truth, "So many calls there were. How many I/Os are in one?"),
            Hint(lambda answer, truth: answer == 32, "That is the depth. Divide the I/Os by the calls that hand over."),
        ),
        otherwise="Divide ios by the count of the call that hands over.",
        why="A system call per parcel instead of one per I/O: that is what batching saves.",
    ),
    "07-q4": Question(
        ask="How long does one I/O take in the mean, in microseconds?",
        read=number,
        first="run, where an asynchronous engine can be had, the cell with io_engines.law",
        tolerance=0.34,  # a third, as the question says
        hints=(
            Hint(lambda answer, truth: answer > 300 * truth, "That looks like nanoseconds. Give microseconds."),
            Hint(lambda answer, truth: answer < truth / 300, "That looks like seconds. Give microseconds."),
        ),
        otherwise="Little's law: under way = rate times latency. Divide the depth by ios_per_s, and mind the unit.",
        why="The law holds for anything that queues: reads, requests, people at a counter.",
    ),
}
