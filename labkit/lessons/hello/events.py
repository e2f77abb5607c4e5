# SPDX-License-Identifier: Apache-2.0
"""Lesson 01: one event each time a process starts a program.

Rests on the tracepoint sched:sched_process_exec (include/trace/events/sched.h), which fires when
execve(2) has worked, and on syscalls:sys_enter_openat.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from labkit import schema
from labkit.bpf import disassemble, maps, proginfo
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.errors import Busy, LabkitError, check_int
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress
from labkit.running.workload import Workload

__all__ = ["Life", "find_suspect", "life", "measure", "mystery", "phases", "say_hello"]

TRACE_PIPE = Path("/sys/kernel/tracing/trace_pipe")
MOST_RUNS = 10_000
_WITHIN_S = 2.0  # lines of the kernel are in the pipe


def measure(runs: int = 23, interval_us: int = 0, *, progress: Progress | None = None) -> pd.DataFrame:
    """Let a workload run a program `runs` times and catch each start with eBPF.

    Parameters
    ----------
    runs : how often, 1 to 10000.
    interval_us : rest between two runs, in microseconds, 0 to 1 s.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per event: time_ns (since boot), pid (of the child that started the program), cpu, comm (the kernel's name
    of the process), runs (how many the workload counted itself: the same in each row).
    """
    runs = check_int("runs", runs, 1, MOST_RUNS, "runs")
    interval_us = check_int("interval_us", interval_us, 0, 1_000_000, "microseconds")
    expected_s = max(runs * (interval_us * 1e-6 + 0.001), 0.1)
    with exclusive("lesson 01: hello", progress) as report, Program("hello") as program:
        with (
            RingReader(program, "events", max_events=4 * MOST_RUNS) as ring,
            Workload("hello", ["--runs", str(runs), "--interval-us", str(interval_us)]) as run,
            program.watching(run.pid),
        ):
            answer = run.go(timeout_s=60 + 10 * expected_s, tick=lambda gone_s: report(gone_s / expected_s, "running"))
        made = ring.frame()
        facts = provenance(command=run.command, lost_events=ring.lost)
    return schema.frame(made.assign(runs=answer["runs"]), **facts)


def phases(runs: int = 23, *, progress: Progress | None = None) -> pd.DataFrame:
    """Run the same workload before, during and after the program is attached, and count what it saw each time.

    Returns one row per phase: phase, runs (what the workload did), count (what the program saw).
    """
    runs = check_int("runs", runs, 1, MOST_RUNS, "runs")
    rows = []
    with exclusive("lesson 01: before, during, after", progress) as report, Program("hello") as program:
        for number, phase in enumerate(("before attach", "attached", "after detach")):
            report(number / 3, phase)
            with RingReader(program, "events", max_events=4 * MOST_RUNS) as ring:
                with Workload("hello", ["--runs", str(runs)]) as run:
                    with program.watching(run.pid) if phase == "attached" else nullcontext():
                        answer = run.go()
            rows.append({"phase": phase, "runs": answer["runs"], "count": ring.count})
        facts = provenance(command=run.command, lost_events=ring.lost)
    return schema.frame(rows, **facts)


def mystery() -> pd.DataFrame:
    """Run the workload a number of times that only this process knows; exercise 01-q1 asks for it."""
    runs = random.SystemRandom().randint(11, 97)
    made = measure(runs).drop(columns=["cpu", "runs"])
    truths.expect("01-q1", runs)
    return made


def find_suspect(processes: int = 6) -> pd.DataFrame:
    """Start several processes that open files, one of which opens `secret.txt`, and record every open.

    Parameters
    ----------
    processes : how many, 2 to 20.

    Returns one row per open: time_ns, pid, path. Exercises 01-q2 and 01-q3 ask which process
    opened secret.txt, and how often.
    """
    processes = check_int("processes", processes, 2, 20, "processes")
    times = [random.SystemRandom().randint(5, 60) for _ in range(processes)]
    names = ["secret.txt", *(f"notes-{number}.txt" for number in range(1, processes))]
    order = random.SystemRandom().sample(range(processes), processes)
    with exclusive("lesson 01: find the suspect"), ExitStack() as stack:
        folder = stack.enter_context(run_folder())
        runs: dict[str, Workload] = {}
        for index in order:
            (folder / names[index]).touch()
            arguments = ["--open", names[index], "--times", str(times[index]), "--interval-us", "500"]
            runs[names[index]] = stack.enter_context(Workload("hello", arguments, folder=folder))
        program = stack.enter_context(Program("hello_suspect"))
        ring = stack.enter_context(RingReader(program, "events", max_events=100_000))
        with program.watching(*(run.pid for run in runs.values())):
            for run in runs.values():
                run.start()
            done = {name: run.result()["opens"] for name, run in runs.items()}
        suspect = runs["secret.txt"].pid
        ring.stop()
        made = ring.frame()
        facts = provenance(command=run.command, lost_events=ring.lost)
    truths.expect("01-q2", suspect)
    truths.expect("01-q3", done["secret.txt"])
    return schema.frame(made[made["path"].isin(names)], **facts)  # the C library opens files of its own


def say_hello(runs: int = 3) -> list[str]:
    """Run the smallest program: it prints a line for each start, and we read the lines from trace_pipe.

    Returns the lines as the kernel wrote them: task and thread id, CPU, flags, seconds since boot, text.

    Raises
    ------
    Busy : another program reads trace_pipe; there is one for the whole machine, and it has one reader.
    """
    runs = check_int("runs", runs, 1, 100, "runs")
    with exclusive("lesson 01: trace_pipe"), Program("hello_print") as program, _tracing_on(), _trace_pipe() as pipe:
        _lines(pipe, 0)  # what others left in it
        with Workload("hello", ["--runs", str(runs)]) as run, program.watching(run.pid):
            run.go()
        return [line for line in _lines(pipe, runs) if "Hello, eBPF!" in line]


@dataclass(frozen=True)
class Life:
    """The stations of one program, from C to machine code."""

    bytecode: list[str]  # as clang made it
    verifier_log: list[str]
    machine_code: list[str]  # as this CPU runs it; empty if the kernel keeps it to itself
    id: int
    maps: list[str]
    verified_instructions: int
    run_count: int
    run_time_ns: int


def life(runs: int = 23) -> Life:
    """Load the smallest program, let it run, and show what became of it at each station."""
    runs = check_int("runs", runs, 1, MOST_RUNS, "runs")
    function = "tracepoint__sched__sched_process_exec"
    with exclusive("lesson 01: the life of a program"), Program("hello_print") as program:
        with Workload("hello", ["--runs", str(runs)]) as run, proginfo.run_statistics(), program.watching(run.pid):
            run.go()
        fd = program.load()[function]
        facts = proginfo.facts(fd)
        return Life(
            bytecode=_instructions(program.bcc.disassemble_func(function.encode())),
            verifier_log=program.verifier_log(function).splitlines(),
            machine_code=disassemble.machine_code(facts.machine_code),
            id=facts.id,
            maps=[name for name in program.map_names if maps.shape(program.map_fd(name)).id in facts.map_ids],
            verified_instructions=facts.verified_instructions,
            run_count=facts.run_count,
            run_time_ns=facts.run_time_ns,
        )


def _instructions(disassembly: str) -> list[str]:
    """Return one line per instruction; BCC has a second line, under a wrong number, for a 64-bit constant."""
    return [line for line in disassembly.splitlines()[1:] if "64-bit upper word" not in line]


@contextmanager
def _tracing_on() -> Iterator[None]:
    """Let the kernel write to its trace buffer while the block runs; it stops by itself after a kernel fault."""
    switch = TRACE_PIPE.with_name("tracing_on")
    before = switch.read_text() if switch.exists() else "1"
    if before.strip() == "1":
        yield
        return
    switch.write_text("1")
    try:
        yield
    finally:
        switch.write_text(before)


@contextmanager
def _trace_pipe() -> Iterator[int]:
    try:
        descriptor = os.open(TRACE_PIPE, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise LabkitError("trace_pipe is missing.", "mount -t tracefs tracefs /sys/kernel/tracing") from None
    except OSError as error:
        raise Busy(f"trace_pipe cannot be read: {error.strerror}.", "end the other program that reads it") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lines(pipe: int, wanted: int) -> list[str]:
    """Return the lines waiting in trace_pipe; wait a little until there are `wanted`."""
    text, deadline = b"", time.monotonic() + _WITHIN_S
    while True:
        try:
            text += os.read(pipe, 1 << 16)
        except BlockingIOError:
            if text.count(b"\n") >= wanted or time.monotonic() > deadline:
                return text.decode(errors="replace").splitlines()
            time.sleep(0.01)
        if time.monotonic() > deadline:  # somebody else prints without end
            return text.decode(errors="replace").splitlines()
