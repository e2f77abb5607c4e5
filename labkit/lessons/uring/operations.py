# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: operations other than read: chains over many files, messages, timeouts, and requests that do nothing.

The workload is c/workloads/uring_tour/.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.errors import check_choice, check_int, check_seed
from labkit.lessons.uring.runs import UringRun, attached, run
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, Tick, part
from labkit.stats import trial

__all__ = ["INTERFACES", "clocks", "files", "run_stop", "tour"]

# what a stop of the tour does by plain system calls, and which of them the kernel counts
_PLAIN = {
    "files": ("openat", "read", "close"),
    "files with stat": ("statx", "openat", "read", "close"),
    "echo": ("sendto", "recvfrom"),
}
_OPTIONS = {"files with stat": ("files", "--stat")}  # a stop of the tour that the workload calls otherwise
INTERFACES = ("plain", "io_uring")
MOST_FILES = 10_000


def tour(ios: int | None = None, batch: int = 32, *, progress: Progress | None = None) -> pd.DataFrame:
    """Do several kinds of I/O by plain system calls and by io_uring, and count the calls.

    Parameters
    ----------
    ios : operations of each kind, 1 to 10000; None is 320.
    batch : operations submitted per call, 1 to 256.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per stop and interface: stop ("nops", "files": open, read and close each; "files with stat": ask for the
    size before; "echo": a message there and back), interface ("plain", "io_uring"), ios, sqes (requests that the kernel
    consumed from a ring), calls (by the program's own count), seen_calls (that the kernel saw), calls_per_io.

    Raises
    ------
    Missing : BPF cannot be loaded, or io_uring is refused.
    """
    ios = check_int("ios", 320 if ios is None else ios, 1, MOST_FILES, "operations")
    batch = check_int("batch", batch, 1, 256, "operations")
    stops = [("nops", "io_uring"), *((stop, interface) for stop in _PLAIN for interface in INTERFACES)]
    with exclusive("lesson 08: a tour", progress) as report, attached() as program:
        found = trial.once(
            {f"{stop}, {interface}": (stop, interface) for stop, interface in stops},
            lambda arm, tick: run_stop(*arm, ios, batch, program=program, tick=tick),
            progress=report,
        )
        facts = provenance(batch=batch, lost_events=sum(each.seen.lost for each in found.values()))
    rows = [_row(*arm, each) for arm, each in zip(stops, found.values(), strict=True)]
    return schema.frame(rows, **facts)


def run_stop(
    stop: str,
    interface: str,
    ios: int,
    batch: int,
    *more: str,
    program: Program | None = None,
    tick: Tick | None = None,
) -> UringRun:
    """Run one stop of the tour; `program` and `tick` as of `runs.run`."""
    with run_folder() as folder:  # what a killed run leaves is swept with it
        name, *wanted = _OPTIONS.get(stop, (stop,))
        given = {"stop": name, "interface": interface, "ios": ios, "batch": batch, "folder": folder}
        options = [word for option, value in given.items() for word in (f"--{option}", str(value))]
        return run("uring_tour", [*options, *wanted, *more], program=program, tick=tick)


def _row(stop: str, interface: str, each: UringRun) -> dict[str, Any]:
    ios, seen = each.report["ios"], each.seen
    counted = _PLAIN[stop] if interface == "plain" else ("submits", "waits")
    calls = seen.count(*counted, thread="program")
    if interface == "plain" and "read" in counted:
        calls -= len("go\n")  # with which each run of a workload begins; it reads it letter by letter
    return {
        "stop": stop,
        "interface": interface,
        "ios": ios,
        "sqes": seen.count("sqe consumed"),
        "calls": each.own_calls,
        "seen_calls": calls,
        "calls_per_io": calls / ios,
    }


def files(
    files: int | None = None,
    batch: int = 32,
    cache: str = "cold",
    *,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Open, read and close many small files: one call after another, and as chains through io_uring.

    Parameters
    ----------
    files : how many, 1 to 10000, of 4 KiB each; None is 500 (100 with LABKIT_QUICK=1).
    batch : chains submitted per call, 1 to 256.
    cache : "cold" (their content is not in the page cache) or "warm".
    slices : of each arm, 2 to 1000; None is 6 (2 with LABKIT_QUICK=1). They are interleaved, and "plain" runs twice.
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per slice: arm ("plain", "io_uring", "plain (again)"), slice, value, ns_per_file (the same; `value` is what
    `labkit.stats.trial.ratios` wants), calls_per_file (that the kernel saw, in one watched run of each interface).

    Raises
    ------
    Missing : BPF cannot be loaded, or io_uring is refused.
    """
    files = check_int("files", quick(500, 100) if files is None else files, 1, MOST_FILES, "files")
    batch = check_int("batch", batch, 1, 256, "chains")
    check_choice("cache", cache, ("cold", "warm"))
    slices, seed = trial.check_slices(slices, 6, 2), check_seed(seed)
    more = ("--cold",) if cache == "cold" else ()

    def one(arm: str, tick: Tick, program: Program | None = None) -> UringRun:
        return run_stop("files", arm.removesuffix(trial.AGAIN), files, batch, *more, program=program, tick=tick)

    with exclusive("lesson 08: many files", progress) as report:
        with attached() as program:
            watched = trial.once(
                {name: name for name in INTERFACES},
                lambda arm, tick: one(arm, tick, program),
                progress=part(report, 0, 0.2),
            )
        calls = {name: _row("files", name, each)["calls_per_io"] for name, each in watched.items()}

        def timed(arm: str, tick: Tick) -> dict[str, float]:
            ns = 1e9 * float(one(arm, tick).report["elapsed_s"]) / files
            return {"value": ns, "ns_per_file": ns, "calls_per_file": calls[arm.removesuffix(trial.AGAIN)]}

        made = trial.interleaved(
            [*INTERFACES, "plain" + trial.AGAIN], timed, slices=slices, seed=seed, progress=part(report, 0.2, 1)
        )
        facts = provenance(
            command=watched["io_uring"].command,
            cache=cache,
            files=files,
            baseline="plain",
            seed=seed,
            lost_events=sum(each.seen.lost for each in watched.values()),
            warnings=made.warnings,
        )
    return schema.frame(made.frame(), **facts)


def clocks(count: int = 5, step_us: int = 2000, *, progress: Progress | None = None) -> pd.DataFrame:
    """Submit timeouts, the longest first, and a read that nobody answers with a time limit linked to it.

    Parameters
    ----------
    count : how many timeouts, 1 to 256.
    step_us : the first takes one step, the second two, in microseconds, 1 to 1000000.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row per result, in the order in which they came: arrived, operation ("timeout" or "read with a time limit"),
    asked_ns, took_ns (-1: not measured), result (what the kernel said).
    """
    count = check_int("count", count, 1, 256, "timeouts")
    step_us = check_int("step_us", step_us, 1, 1_000_000, "microseconds")
    seconds = 1e-6 * count * step_us
    with exclusive("lesson 08: clocks", progress) as report:
        made = trial.once(
            {"timeouts": ("--step-us", str(step_us))},
            lambda more, tick: run_stop("timeouts", "io_uring", count, 1, *more, tick=tick),
            progress=report,
            seconds=seconds,
        )["timeouts"]
        facts = provenance(command=made.command)
    rows = [{"operation": "timeout", **rung} for rung in made.report["timeouts"]]
    limited = {"asked_ns": step_us * 1000, "took_ns": -1, "result": made.report["given_up"]["read"]}
    rows.append({"operation": "read with a time limit", **limited})
    return schema.frame([{"arrived": number, **row} for number, row in enumerate(rows, 1)], **facts)
