"""Lesson 06: the same reads as others see them (the program itself, strace, bpftrace, fio), and what watching costs."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.errors import LabkitError, WorkloadError, check_float, check_int
from labkit.lessons._io.job import Job
from labkit.lessons.syscall_latency.timer import flags, timed
from labkit.machine.folders import quick
from labkit.machine.pidns import own_pid_namespace
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, silent
from labkit.running.workload import Workload, build
from labkit.stats import trial
from labkit.stats.histogram import Counts, bucket_low, quantile
from labkit.stats.trial import added_ns as added

__all__ = ["added", "cost", "witnesses"]

MOST_IOS = 100_000
MOST_EVENTS = 10_000_000
NOBODY = "nobody watches"
# BEGIN may run before the other probes are attached; a timer that is named last cannot.
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
    One row a witness: witness, count, p50_ns (NaN where it tells none), mean_ns. The program and the timer watched the
    same run; strace and bpftrace each watched a run of their own; fio made reads of its own with the same settings. One
    of these three that is not installed, or cannot do it here, is left out, with a warning.
    """
    job = Job(block_bytes=block_bytes, cache=cache)
    ios = check_int("ios", ios, 1, MOST_IOS, "I/Os")
    others: dict[str, Callable[[Job, int], dict[str, float]]] = {"strace": _strace, "bpftrace": _bpftrace, "fio": _fio}
    report, warnings = progress or silent, []
    with exclusive("lesson 06: witnesses", report), Program("syscall_latency", flags=flags(job)) as program:
        report(0.1, "the program and the timer")
        seen = timed(program, job, ios=ios, tick=lambda gone_s: report(0.1, "the program and the timer"))
        own = seen.told["latency_ns"]
        rows: list[dict[str, Any]] = [
            {"witness": "the program itself", "count": seen.told["ios"], "p50_ns": seen.program_p50_ns,
             "mean_ns": own["sum_ns"] / own["count"]},
            {"witness": "eBPF timer", **_summary(seen.counts)},
        ]  # fmt: skip
        for number, (name, ask) in enumerate(others.items(), start=1):
            report(0.25 * number, name)
            if shutil.which(name) is None:
                warnings.append(f"{name} is not installed: sudo apt-get install {name}")
                continue
            try:
                rows.append({"witness": name, "p50_ns": np.nan, **ask(job, ios)})
            except LabkitError as error:
                warnings.append(_left_out(name, error))
        facts = provenance(command=seen.command, ios=ios, warnings=warnings)
    report(1.0, "done")
    return schema.frame(rows, **facts)


def cost(seconds: float | None = None, slices: int | None = None, *, progress: Progress | None = None) -> pd.DataFrame:
    """Measure what watching costs: the shortest read there is, with nobody, the timer, the stages, strace watching.

    Parameters
    ----------
    seconds : how long each slice runs, 0.01 to 60; None is 0.05 (0.02 in a hurry).
    slices : of each arm, 2 to 100, interleaved; None is 6 (2 in a hurry).
    progress : see `labkit.running.progress`.

    Returns a frame with the columns arm, slice, ns_per_call; `added(frame)` says what each arm adds to a call. Where
    strace is not installed, or may not follow a process, it is left out, with a warning.
    """
    seconds = check_float("seconds", quick(0.05, 0.02) if seconds is None else seconds, 0.01, 60, "seconds")
    slices = trial.check_slices(slices, 6, 2)
    job, report = Job(cache="warm", block_bytes=512), progress or silent
    (call,) = job.calls
    arguments = job.arguments(seconds=seconds)

    def run(workload: Workload, program: Program | None = None) -> float:
        with workload:
            if program is not None:
                program.aim(pid=workload.pid)
                program.attach()
            told = workload.go(timeout_s=60 + 10 * seconds)
            if program is not None:
                program.detach()
        if told["ios"] == 0:
            raise WorkloadError(f"Not one read ended in a slice of {seconds:g} s.", "pass a longer time: seconds=0.5")
        return float(1e9 * told["elapsed_s"] / told["ios"])

    def alone() -> Workload:
        return Workload("io_engines", arguments)

    def stages() -> float:
        with RingReader(stations, "events", max_events=MOST_EVENTS):
            return run(alone(), stations)

    with (
        exclusive("lesson 06: what watching costs", report),
        Program("syscall_latency", flags=flags(job)) as timer,
        Program("syscall_latency_stages", flags={"ENTER": f"sys_enter_{call}", "EXIT": f"sys_exit_{call}"}) as stations,
    ):
        arms = {NOBODY: lambda: run(alone()), "eBPF timer": lambda: run(alone(), timer), "eBPF stages": stages}
        warnings, strace = [], shutil.which("strace")
        if strace:
            options = ["-qq", "-o", "/dev/null", "-e", f"trace={call}", str(build("io_engines")), *arguments]
            try:
                with Workload(Path(strace), options):
                    arms["strace"] = lambda: run(Workload(Path(strace), options))
            except LabkitError as error:
                warnings.append(_left_out("strace", error))
        else:
            warnings.append("strace is not installed: sudo apt-get install strace")
        made = trial.compare(arms, baseline=NOBODY, slices=slices, progress=progress)
        facts = provenance(command=["io_engines", *arguments], baseline=NOBODY, warnings=warnings)
    return schema.frame(made.rename(columns={"value": "ns_per_call"}), **facts)


def _left_out(name: str, error: LabkitError) -> str:
    """Return the warning for a witness that is installed and cannot watch: what is in the way, and the fix."""
    return " ".join([f"{name} is left out: {error.what}", *error.detail.splitlines()[-1:], f"Fix: {error.fix}"])


def _summary(counts: Counts) -> dict[str, float]:
    """Return count, median and mean of a histogram; the mean is that of the middles of its buckets."""
    buckets = np.arange(len(counts))
    middles = (bucket_low(buckets) + bucket_low(buckets + 1) - 1) / 2
    total = int(counts.sum())
    return {
        "count": total,
        "p50_ns": float(quantile(counts, 0.5)),
        "mean_ns": float((counts * middles).sum() / total) if total else np.nan,
    }


def _strace(job: Job, ios: int) -> dict[str, float]:
    """Let strace count and time (-w: by the clock on the wall, not by CPU time)."""
    (call,) = job.calls
    # attached to a program that is ready: else it counts the loader's preads too
    said = _watched(job, ios, lambda pid: ["strace", "-c", "-w", "-e", f"trace={call}", "-p", str(pid)], " attached")
    for line in said.splitlines():
        if line.endswith(f" {call}"):  # % time, seconds, usecs/call, calls, [errors,] syscall
            _, seconds, _, calls, *_ = line.split()
            return {"count": int(calls), "mean_ns": 1e9 * float(seconds) / int(calls)}
    return {"count": 0, "mean_ns": np.nan}


def _bpftrace(job: Job, ios: int) -> dict[str, float]:
    """Let bpftrace count and time: tracepoints too, in a language of its own."""
    script = _BPFTRACE.replace("CALL", job.calls[0])

    def command(pid: int) -> list[str]:
        # bpftrace counts in the machine's own process numbers; inside a container the name has to do
        who = f"pid == {pid}" if own_pid_namespace().is_initial else 'comm == "io_engines"'
        return ["bpftrace", "-B", "none", "-e", script.replace("WHO", who)]

    said = _watched(job, ios, command, "ready")
    found = re.search(r"@took: count (\d+), average (\d+)", said)
    return {"count": int(found[1]), "mean_ns": float(found[2])} if found else {"count": 0, "mean_ns": np.nan}


def _watched(job: Job, ios: int, command: Callable[[int], list[str]], ready: str) -> str:
    """Run a job while a witness watches it, and return what the witness said.

    Parameters
    ----------
    command : makes the witness's command line from the process id of the program.
    ready : a text in the line by which the witness says that it watches.
    """
    with Workload("io_engines", job.arguments(ios=ios)) as run:
        line = command(run.pid)
        witness = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
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
            return witness.communicate(timeout=_ENDING_S)[0]
        except subprocess.TimeoutExpired:
            raise LabkitError(f"{line[0]} did not end.", f"see `labkit doctor`: the row {line[0]}") from None
        finally:
            witness.kill()
            witness.communicate()


def _fio(job: Job, ios: int) -> dict[str, float]:
    """Let fio make reads of its own with the same settings."""
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
        made = subprocess.run(
            ["fio", *(f"--{name}={value}" for name, value in options.items())],
            capture_output=True, text=True, check=False, cwd=folder, timeout=_ENDING_S + ios / 10,
        )  # fmt: skip
        if made.returncode != 0:
            raise LabkitError("fio failed.", "run it by hand, as the detail says", made.stderr or made.stdout)
        told = json.loads(made.stdout[made.stdout.index("{") :])["jobs"][0]["read"]
    took = told["clat_ns"]
    return {"count": told["total_ios"], "mean_ns": took["mean"], "p50_ns": took["percentile"]["50.000000"]}
