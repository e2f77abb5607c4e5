# SPDX-License-Identifier: Apache-2.0
"""The course: one table of its lessons. The doctor, the README and the lessons are made from it or checked against it.

A lesson's notebook is `notebooks/NN-STEM.ipynb`, its Python is `labkit/lessons/STEM/`; the stem is written with dashes
in the one and with underscores in the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.errors import unknown_name

__all__ = ["LESSONS", "NUMBERS", "Lesson", "lesson"]


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Parameters
    ----------
    number : two digits, as in the name of its notebook.
    stem : the name of everything that belongs to it.
    title : the H1 of its notebook.
    short : the title in lists.
    minutes : how long it takes to work through.
    learns : what the learner finds out.
    """

    number: str
    stem: str
    title: str
    short: str
    minutes: int
    learns: str

    @property
    def notebook(self) -> str:
        """The file name of its notebook."""
        return f"{self.number}-{self.stem.replace('_', '-')}.ipynb"


LESSONS = (
    Lesson(
        "00", "start", "Start here: see what your kernel does", "Start here", 10,
        "what this machine can do, and how a notebook works",
    ),
    Lesson(
        "01", "hello", "Say hello from inside the kernel", "Hello, eBPF", 20,
        "what eBPF is, and how a program gets into the kernel",
    ),
    Lesson("02", "maps", "Remember things in maps", "Maps", 30, "how a program in the kernel remembers and counts"),
    Lesson(
        "03", "verifier", "Pass the verifier", "The verifier", 40,
        "why the kernel rejects programs, and how to fix them",
    ),
    Lesson("04", "probes", "Choose the right probe", "Probes", 30, "the ways to watch an event, and what each costs"),
    Lesson(
        "05", "usdt", "Listen to probes that the author placed", "USDT", 35,
        "probes that the author of a program placed",
    ),
    Lesson("06", "syscall_latency", "Time a system call", "Time a system call", 40, "where the time of a read goes"),
    Lesson(
        "07", "io_engines", "Compare three ways to read: sync, libaio, io_uring", "Three ways to read", 40,
        "sync, libaio and io_uring, side by side",
    ),
    Lesson("08", "uring", "Look inside io_uring", "Inside io_uring", 40, "two rings shared with the kernel"),
    Lesson("09", "sockmap", "Take a short cut between local sockets", "Sockmap", 30, "a shortcut for local sockets"),
    Lesson(
        "10", "capstone", "Watch a real application", "Capstone", 60,
        "what SQLite and Redis ask of the kernel, and tools of your own",
    ),
)  # fmt: skip

NUMBERS = tuple(each.number for each in LESSONS)


def lesson(number: str) -> Lesson:
    """Return a lesson by its number ("07"), or raise `BadArgument` with the nearest."""
    for each in LESSONS:
        if each.number == number:
            return each
    raise unknown_name("lesson", number, NUMBERS)
