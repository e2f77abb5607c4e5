# SPDX-License-Identifier: Apache-2.0
"""The course: one table of its lessons. The doctor, the README and the lessons are made from it or checked against it.

A lesson's notebook is `notebooks/NN-STEM.ipynb`, its Python is `labkit/lessons/STEM/`; the stem is written with dashes
in the one and with underscores in the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.errors import unknown_name

__all__ = ["EVERYBODY", "LESSONS", "NUMBERS", "Lesson", "lesson"]

EVERYBODY = ("kernel", "root", "python", "headers", "bcc", "compiler", "bpf")  # capabilities that every lesson uses


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
    vital : capabilities without which the lesson has nothing live to show, as the doctor names them.
    uses : capabilities without which it loses a part. Those in `EVERYBODY` are used by every lesson.
    """

    number: str
    stem: str
    title: str
    short: str
    minutes: int
    learns: str
    vital: str = ""
    uses: str = ""

    @property
    def notebook(self) -> str:
        """The file name of its notebook."""
        return f"{self.number}-{self.stem.replace('_', '-')}.ipynb"

    def needs(self, capability: str) -> bool:
        """Return whether it uses a capability at all."""
        return capability in (*EVERYBODY, *self.vital.split(), *self.uses.split())

    def hangs_on(self, capability: str) -> bool:
        """Return whether it has nothing live to show without a capability."""
        return capability in self.vital.split()


LESSONS = (
    Lesson(
        "00",
        "start",
        "Start here: see what your kernel does",
        short="Start here",
        minutes=10,
        learns="what this machine can do, and how a notebook works",
        uses="pid_namespace libbpf ring_buffer tracefs syscall_tracepoints data_folder",
    ),
    Lesson(
        "01",
        "hello",
        "Say hello from inside the kernel",
        short="Hello, eBPF",
        minutes=30,
        learns="what eBPF is, and how a program gets into the kernel",
        vital="pid_namespace bcc compiler bpf tracefs syscall_tracepoints",
        uses="memlock libbpf jit run_statistics ring_buffer data_folder bpftool",
    ),
    Lesson(
        "02",
        "maps",
        "Remember things in maps",
        short="Maps",
        minutes=40,
        learns="how a program in the kernel remembers and counts",
        vital="pid_namespace bcc compiler bpf maps tracefs syscall_tracepoints",
        uses="cpus memlock libbpf ring_buffer",
    ),
    Lesson(
        "03",
        "verifier",
        "Pass the verifier",
        short="The verifier",
        minutes=40,
        learns="why the kernel rejects programs, and how to fix them",
        vital="bcc bpf",
        uses="lockdown memlock ring_buffer",
    ),
    Lesson(
        "04",
        "probes",
        "Choose the right probe",
        short="Probes",
        minutes=45,
        learns="the ways to watch an event, and what each costs",
        vital="bcc compiler bpf",
        uses=(
            "cpus pid_namespace lockdown memlock libbpf btf run_statistics maps tracefs "
            "syscall_tracepoints raw_tracepoints kprobes fentry uprobes perf_events strace"
        ),
    ),
    Lesson(
        "05",
        "usdt",
        "Listen to probes that the author placed",
        short="USDT",
        minutes=45,
        learns="probes that the author of a program placed",
        vital="bcc compiler bpf uprobes usdt",
        uses="pid_namespace memlock python_usdt readelf",
    ),
    Lesson(
        "06",
        "syscall_latency",
        "Time a system call",
        short="Time a system call",
        minutes=50,
        learns="where the time of a read goes",
        vital="pid_namespace bcc compiler bpf tracefs syscall_tracepoints data_folder",
        uses="memlock libbpf ring_buffer block_tracepoints sched_tracepoints o_direct strace bpftrace fio",
    ),
    Lesson(
        "07",
        "io_engines",
        "Compare three ways to read: sync, libaio, io_uring",
        short="Three ways to read",
        minutes=40,
        learns="sync, libaio and io_uring, side by side",
        vital="compiler data_folder",
        uses=(
            "cpus pid_namespace memlock ring_buffer tracefs syscall_tracepoints block_tracepoints "
            "io_uring libaio o_direct fio"
        ),
    ),
    Lesson(
        "08",
        "uring",
        "Look inside io_uring",
        short="Inside io_uring",
        minutes=50,
        learns="two rings shared with the kernel",
        vital="compiler io_uring data_folder",
        uses=(
            "cpus pid_namespace memlock libbpf ring_buffer tracefs syscall_tracepoints "
            "sched_tracepoints io_uring_tracepoints io_uring_sqpoll o_direct"
        ),
    ),
    Lesson(
        "09",
        "sockmap",
        "Take a shortcut between local sockets",
        short="Sockmap",
        minutes=40,
        learns="a shortcut for local sockets",
        vital="bcc compiler bpf cgroup_v2 sockmap",
        uses="cpus pid_namespace memlock redis redis_benchmark",
    ),
    Lesson(
        "10",
        "capstone",
        "Watch a real application",
        short="Capstone",
        minutes=60,
        learns="what SQLite and Redis ask of the kernel, and tools of your own",
        vital="bcc compiler bpf tracefs syscall_tracepoints data_folder",
        uses="pid_namespace memlock ring_buffer cgroup_v2 strace redis redis_benchmark sqlite",
    ),
    Lesson(
        "11",
        "serve",
        "Serve many clients: threads, epoll, io_uring",
        short="Serve many clients",
        minutes=45,
        learns="one server, six ways: what each asks of the kernel",
        vital="bcc compiler bpf tracefs syscall_tracepoints",
        uses="cpus pid_namespace memlock sched_tracepoints io_uring io_uring_tracepoints",
    ),
    Lesson(
        "12",
        "your_program",
        "Watch your own program",
        short="Watch your own program",
        minutes=45,
        learns="any program, from a symptom to a cause",
        vital="pid_namespace bcc compiler bpf tracefs syscall_tracepoints",
        uses="memlock libbpf run_statistics sched_tracepoints perf_events data_folder sqlite",
    ),
)

NUMBERS = tuple(each.number for each in LESSONS)


def lesson(number: str) -> Lesson:
    """Return a lesson by its number ("07"), or raise `BadArgument` with the nearest."""
    for each in LESSONS:
        if each.number == number:
            return each
    raise unknown_name("lesson", number, NUMBERS)
