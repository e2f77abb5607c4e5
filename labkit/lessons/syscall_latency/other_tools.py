# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: the same reads as others see them: the program itself, strace, bpftrace, fio."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import LabkitError, check_int
from labkit.lessons._io.job import Job
from labkit.lessons.syscall_latency.timer import flags, timed
from labkit.machine import ending
from labkit.machine.pidns import own_pid_namespace
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress
from labkit.running.workload import Workload
from labkit.stats.histogram import Counts, quantile, total

__all__ = ["left_out", "witnesses"]

MOST_IOS = 100_000
# BEGIN may run before the other probes are attached; a timer that comes last cannot.
_BPFTRACE = """
tracepoint:syscalls:sys_enter_CALL /WHO/ { @start[tid] = nsecs; }
tracepoint:syscalls:sys_exit_CALL /@start[tid]/ { @took = stats(nsecs - @start[tid]); delete(@start[tid]); }
interval:ms:100 { printf("ready\\n"); }
"""
_ENDING_S = 30


def witnesses(
    ios: int = 997,
    block_bytes: int = 4096,
    cache: str = "direct",
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Ask several witnesses how many reads a program made and how long one took.

    Parameters
    ----------
    ios : reads, 1 to 100000.
    block_bytes, cache : as of `syscall_latency.histogram`.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per witness: witness, count, p50_ns (NaN where it reports none), mean_ns. The program and the timer watched
    the same run; strace and bpftrace watched a run each; fio made its own reads with the same settings. If one of these
    three is not installed, or does not work here, it is left out, with a warning.
    """
    job = Job(block_bytes=block_bytes, cache=cache)
    ios = check_int("ios", ios, 1, MOST_IOS, "I/Os")
    others: dict[str, Callable[[Job, int], dict[str, float]]] = {"strace": _strace, "bpftrace": _bpftrace, "fio": _fio}
    warnings: list[str] = []
    with (
        exclusive("lesson 06: witnesses", progress) as report,
        Program("syscall_latency", flags=flags(job)) as program,
    ):
        report(0.1, "the program and the timer")
        seen = timed(program, job, ios=ios, tick=lambda gone_s: report(0.1, "the program and the timer"))
        own = seen.told["latency_ns"]
        rows: list[dict[str, Any]] = [
            {
                "witness": "the program itself",
                "count": seen.told["ios"],
                "p50_ns": seen.program_p50_ns,
                "mean_ns": own["sum_ns"] / own["count"],
            },
            {"witness": "eBPF timer", **_summary(seen.counts)},
        ]
        for number, (name, ask) in enumerate(others.items(), start=1):
            report(0.25 * number, name)
            if shutil.which(name) is None:
                warnings.append(f"{name} is not installed: sudo apt-get install {name}")
                continue
            try:
                rows.append({"witness": name, "p50_ns": np.nan, **ask(job, ios)})
            except LabkitError as error:
                warnings.append(left_out(name, error))
        facts = provenance(command=seen.command, ios=ios, warnings=[*seen.warnings, *warnings], lost_events=seen.lost)
    return schema.frame(rows, **facts)


def left_out(name: str, error: LabkitError) -> str:
    """Return the warning for a tool that is installed and cannot watch: what prevents it, and the fix."""
    return " ".join([f"{name} is left out: {error.what}", *error.detail.splitlines()[-1:], f"Fix: {error.fix}"])


def _summary(counts: Counts) -> dict[str, float]:
    """Return count, median and mean of a histogram."""
    count = int(counts.sum())
    mean_ns = total(counts) / count if count else np.nan
    return {"count": count, "p50_ns": float(quantile(counts, 0.5)), "mean_ns": mean_ns}


def _strace(job: Job, ios: int) -> dict[str, float]:
    """Let strace count and time (-w: wall-clock time, not CPU time)."""
    (call,) = job.calls
    # attached to a program that is ready: otherwise it counts the loader's preads too
    said = _watched(job, ios, lambda pid: ["strace", "-c", "-w", "-e", f"trace={call}", "-p", str(pid)], " attached")
    for line in said.splitlines():
        if line.endswith(f" {call}"):  # % time, seconds, usecs/call, calls, [errors,] syscall
            _, seconds, _, calls, *_ = line.split()
            return {"count": int(calls), "mean_ns": 1e9 * float(seconds) / int(calls)}
    return {"count": 0, "mean_ns": np.nan}


def _bpftrace(job: Job, ios: int) -> dict[str, float]:
    """Let bpftrace count and time: it uses tracepoints too, and has its own language."""
    script = _BPFTRACE.replace("CALL", job.calls[0])

    def command(pid: int) -> list[str]:
        # bpftrace knows the process ids of the initial namespace only; inside a container the name must do
        who = f"pid == {pid}" if own_pid_namespace().is_initial else 'comm == "io_engines"'
        return ["bpftrace", "-B", "none", "-e", script.replace("WHO", who)]

    said = _watched(job, ios, command, "ready")
    found = re.search(r"@took: count (\d+), average (\d+)", said)
    return {"count": int(found[1]), "mean_ns": float(found[2])} if found else {"count": 0, "mean_ns": np.nan}


def _watched(job: Job, ios: int, command: Callable[[int], list[str]], ready: str) -> str:
    """Run a job while a witness watches it, and return what the witness printed.

    Parameters
    ----------
    command : makes the witness's command line from the process id of the program.
    ready : a text in the line with which the witness reports that it watches.
    """
    with Workload("io_engines", job.arguments(ios=ios)) as run:
        line = command(run.pid)
        started = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        with ending.ended(started) as witness:
            assert witness.stdout is not None
            said: list[str] = []
            while not said or ready not in said[-1]:
                said.append(witness.stdout.readline())
                if not said[-1]:
                    raise LabkitError(
                        f"{line[0]} could not watch.", f"see `labkit doctor`: the row {line[0]}", "".join(said)
                    )
            run.go()
            witness.send_signal(signal.SIGINT)
            try:
                return witness.communicate(timeout=_ENDING_S)[0]
            except subprocess.TimeoutExpired:
                raise _no_end(line[0]) from None


def _no_end(program: str) -> LabkitError:
    return LabkitError(f"{program} did not end.", f"see `labkit doctor`: the row {program}")


def _fio(job: Job, ios: int) -> dict[str, float]:
    """Let fio make its own reads with the same settings."""
    with run_folder() as folder:
        options = {
            "name": "witness",
            "directory": folder,
            "ioengine": "psync",
            "rw": "randread",
            "bs": job.block_bytes,
            "direct": int(job.cache == "direct"),
            "invalidate": int(job.cache == "cold"),
            "pre_read": int(job.cache == "warm"),
            "size": job.file_bytes,
            "io_size": ios * job.block_bytes,
            "output-format": "json",
        }
        line = ["fio", *(f"--{name}={value}" for name, value in options.items())]
        try:
            made = ending.run(line, _ENDING_S + ios / 10, folder=folder)
        except subprocess.TimeoutExpired:
            raise _no_end("fio") from None
        if made.returncode != 0:
            raise LabkitError("fio failed.", "run it by hand, as the detail says", made.stderr or made.stdout)
        told = json.loads(made.stdout[made.stdout.index("{") :])["jobs"][0]["read"]
    took = told["clat_ns"]
    return {"count": told["total_ios"], "mean_ns": took["mean"], "p50_ns": took["percentile"]["50.000000"]}
