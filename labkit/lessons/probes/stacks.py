# SPDX-License-Identifier: Apache-2.0
"""Lesson 04: where a program spends its time, by the stack at each tick of a timer."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

from labkit import schema
from labkit.bpf.stacks import PYTHON_MARK, StackSampler
from labkit.errors import BadArgument, LabkitError, Missing, check_float, check_int
from labkit.machine.ending import ended
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running import truths
from labkit.running.lock import exclusive
from labkit.running.progress import Progress
from labkit.running.workload import Workload

__all__ = ["busy_fruit", "flame", "python_flame"]

_BURN = "work_burn"  # in c/workloads/probes.c: the function that calls the others
_ANSWER_S = 60.0
FRUITS = ("apple", "pear", "plum")
SCRIPT = Path(__file__).with_name("fruit.py")


def flame(
    seconds: float | None = None,
    hz: int = 997,
    apple: int = 60,
    pear: int = 25,
    plum: int = 10,
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let the workload use CPU time in known shares, and sample its stacks.

    Parameters
    ----------
    seconds : of CPU time, 0.05 to 60; None is 2 (0.3 with LABKIT_QUICK=1).
    hz : ticks per second, 1 to 9999.
    apple, pear, plum : per cent of the time in these functions, together at most 100; the rest is spent in the kernel,
        by read(2) of /dev/zero. pear() calls plum() for a fifth of its rounds, which need
        not be a fifth of its time.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per distinct stack: stack (functions, the outermost first, with ";" between; those of the kernel end in
    "_[k]"), count (ticks), function (of the workload, that the ticks fell in: apple, pear, plum, kernel, or none),
    clocked_ns (how long that function took by the workload's own clock: the same in each row of a function).
    """
    seconds = check_float("seconds", quick(2.0, 0.3) if seconds is None else seconds, 0.05, 60, "seconds")
    hz = check_int("hz", hz, 1, 9999, "Hz")
    given = zip(FRUITS, (apple, pear, plum), strict=True)
    apple, pear, plum = (check_int(name, value, 0, 100, "per cent") for name, value in given)
    if apple + pear + plum > 100:
        shares = f"apple={apple}, pear={pear} and plum={plum}"
        raise BadArgument(f"{shares} are more than 100 per cent together.", "pass shares that add up to 100 at most")
    arguments = ["--work", "burn", "--seconds", str(seconds)]
    arguments += ["--apple", str(apple), "--pear", str(pear), "--plum", str(plum)]
    with exclusive("lesson 04: stacks", progress) as report:
        with Workload("probes", arguments) as run, StackSampler(run.pid, hz) as sampler:
            told = run.go(tick=lambda gone_s: report(min(gone_s / seconds, 1), "sampling"), timeout_s=60 + 20 * seconds)
            sampler.stop()
        facts = provenance(command=run.command, lost_events=sampler.lost, hz=hz)
    made = sampler.frame()
    functions = made["stack"].map(_function)
    clocked_ns = functions.map(lambda name: told.get(f"{name}_ns", 0))
    return schema.frame(made.assign(function=functions, clocked_ns=clocked_ns), **facts)


def _function(stack: str) -> str:
    """Return the part of the workload that a stack is in; a plum() that pear() calls is in pear."""
    called = stack.partition(f";{_BURN};")[2].partition(";")[0]
    return called if called in FRUITS else "kernel" if called else ""


def busy_fruit(seconds: float | None = None) -> pd.DataFrame:
    """Sample a workload in which one secret function uses most of the time; exercise 04-q3 asks for it."""
    busy = random.SystemRandom().choice(FRUITS)
    apple, pear, plum = (60 if name == busy else 15 for name in FRUITS)
    made = flame(seconds, apple=apple, pear=pear, plum=plum)
    truths.expect("04-q3", busy)
    made.attrs["command"] = ""  # it names the answer
    return made.drop(columns=["function", "clocked_ns"])


def python_flame(seconds: float | None = None, hz: int = 997, *, interpreter: str | None = None) -> pd.DataFrame:
    """Sample a Python program, with the names of its Python functions.

    CPython 3.12 and later writes them down (`python -X perf`). That works only if the interpreter was compiled with
    frame pointers, as those of Ubuntu 24.04 and Fedora are.

    Parameters
    ----------
    seconds, hz : as of `flame`.
    interpreter : path of a Python; None tries this one and python3.12 to 3.14 on PATH.

    Raises
    ------
    Missing : no interpreter here can; the detail has a reason for each that was tried.
    """
    seconds = check_float("seconds", quick(2.0, 0.3) if seconds is None else seconds, 0.05, 60, "seconds")
    hz = check_int("hz", hz, 1, 9999, "Hz")
    named = [shutil.which(f"python3.{minor}") for minor in (12, 13, 14)]
    tried = [interpreter] if interpreter else list(dict.fromkeys(filter(None, [sys.executable, *named])))
    reasons = []
    with exclusive("lesson 04: Python stacks"):
        for python in tried:
            try:
                return _sampled(python, seconds, hz)
            except LabkitError as error:
                reasons.append(f"{python}: {error.what}")
    raise Missing(
        "No Python here can name its functions for a profiler.",
        "use a Python 3.12 or later that was compiled with frame pointers, such as Ubuntu 24.04's",
        "\n".join(reasons),
    )


def _sampled(python: str, seconds: float, hz: int) -> pd.DataFrame:
    started = subprocess.Popen(
        [python, "-X", "perf", "-c", "import sys; sys.activate_stack_trampoline; print(sys.executable)"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with ended(started) as asked:
        try:
            real, _ = asked.communicate(timeout=_ANSWER_S)
        except subprocess.TimeoutExpired:
            raise Missing(f"it gave no answer in {_ANSWER_S:g} s.", "use another") from None
        finally:
            _forget_names(asked.pid)
    if asked.returncode != 0:
        raise Missing(_why_no_perf(python), "use another")
    with Workload(Path(real.strip()), ["-X", "perf", str(SCRIPT), str(seconds)]) as run:
        try:
            with StackSampler(run.pid, hz) as sampler:
                run.go(timeout_s=60 + 20 * seconds)
                sampler.stop()
        finally:
            _forget_names(run.pid)
    made = sampler.frame()
    deep = made.loc[made["stack"].str.contains(f"{PYTHON_MARK}main"), "count"].sum()
    if deep < 0.5 * made["count"].sum():
        raise Missing("it was compiled without frame pointers, so its stacks are broken.", "use another")
    return schema.frame(made, **provenance(command=run.command, lost_events=sampler.lost, hz=hz))


def _why_no_perf(python: str) -> str:
    """Return why `python -X perf` failed."""
    version = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info >= (3, 12))"], capture_output=True, text=True, check=False
    )
    if version.returncode != 0:  # such as a version manager's command for a version that is not installed
        return "it does not start."
    return "it was built without -X perf." if version.stdout.strip() == "True" else "it is older than 3.12."


def _forget_names(pid: int) -> None:
    """Remove the file that `python -X perf` writes for a profiler and does not remove."""
    Path(f"/tmp/perf-{pid}.map").unlink(missing_ok=True)
