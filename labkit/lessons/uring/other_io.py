# SPDX-License-Identifier: Apache-2.0
"""Lesson 08, the tour: io_uring does more than reads. Chains over many files, messages, clocks, and nothing at all.

The workload is c/workloads/uring_tour/.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from labkit import schema
from labkit.errors import check_choice, check_int, check_seed
from labkit.lessons.uring.watched import Watched, Watcher, watcher
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, silent
from labkit.stats import trial

__all__ = ["clocks", "files", "run_stop", "tour"]

# what a stop of the tour does by plain system calls, and what of it the kernel counts
_PLAIN = {
    "files": ("openat", "read", "close"),
    "files, stat first": ("statx", "openat", "read", "close"),
    "echo": ("sendto", "recvfrom"),
}
_OPTIONS = {"files, stat first": ("files", "--stat")}  # a stop of the tour that the workload calls otherwise
HOWS = ("plain", "io_uring")
MOST_FILES = 10_000


def tour(ios: int | None = None, batch: int = 32, *, progress: Progress | None = None) -> pd.DataFrame:
    """Do several kinds of I/O by plain system calls and by io_uring, and count the calls.

    Parameters
    ----------
    ios : operations of each kind, 1 to 10000; None is 320.
    batch : so many are handed over with one call, 1 to 256.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a stop and way: stop ("nops", "files": open, read and close each; "files, stat first": ask for the size
    before; "echo": a message there and back), how, ios, taken (requests that the kernel took from a ring), calls (that
    the program believes it made), seen_calls (that the kernel saw), calls_per_io.

    Raises
    ------
    Missing : BPF cannot be loaded, or io_uring is refused.
    """
    ios = check_int("ios", 320 if ios is None else ios, 1, MOST_FILES, "operations")
    batch = check_int("batch", batch, 1, 256, "operations")
    stops = [("nops", "io_uring"), *((stop, how) for stop in _PLAIN for how in HOWS)]
    report, rows = progress or silent, []
    with exclusive("lesson 08: a tour", report), watcher() as run:
        for done, (stop, how) in enumerate(stops):
            report(done / len(stops), f"{stop}, {how}")
            rows.append(_row(stop, how, run_stop(run, stop, how, ios, batch)))
        facts = provenance(batch=batch)
    report(1.0, "done")
    return schema.frame(rows, **facts)


def run_stop(run: Watcher, stop: str, how: str, ios: int, batch: int, *more: str) -> Watched:
    """Run one stop of the tour."""
    with run_folder() as folder:  # what a killed run leaves is swept with it
        name, *wanted = _OPTIONS.get(stop, (stop,))
        given = {"stop": name, "how": how, "ios": ios, "batch": batch, "folder": folder}
        options = [word for option, value in given.items() for word in (f"--{option}", str(value))]
        return run.run("uring_tour", [*options, *wanted, *more])


def _row(stop: str, how: str, watched: Watched) -> dict[str, Any]:
    ios, seen = watched.told["ios"], watched.kernel
    counted = _PLAIN[stop] if how == "plain" else ("hands over", "waits")
    calls = seen.count(*counted, thread="program")
    if how == "plain" and "read" in counted:
        calls -= len("go\n")  # with which each run of a workload begins; it reads it letter by letter
    return {
        "stop": stop,
        "how": how,
        "ios": ios,
        "taken": seen.count("request taken"),
        "calls": watched.own_calls,
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
    files : how many, 1 to 10000, of 4 KiB each; None is 500 (100 in a hurry).
    batch : chains that are handed over with one call, 1 to 256.
    cache : "cold" (their content is not in the page cache) or "warm".
    slices : of each way, 2 to 100; None is 6 (2 in a hurry). They are interleaved, and "plain" runs twice.
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a slice: arm ("plain", "io_uring", "plain (again)"), slice, value, ns_per_file (the same; `value` is what
    `labkit.stats.trial.ratios` wants). `attrs` holds `per_file`: by way, the calls for one file that the kernel saw.

    Raises
    ------
    Missing : BPF cannot be loaded, or io_uring is refused.
    """
    files = check_int("files", quick(500, 100) if files is None else files, 1, MOST_FILES, "files")
    batch = check_int("batch", batch, 1, 256, "chains")
    check_choice("cache", cache, ("cold", "warm"))
    slices = trial.check_slices(slices, 6, 2)
    seed = check_seed(seed)
    report, per_file = progress or silent, {}
    more = ("--cold",) if cache == "cold" else ()
    with exclusive("lesson 08: many files", report):
        with watcher() as run:  # each way once, for the calls; the times come from slices with nothing attached
            for how in HOWS:
                per_file[how] = _row("files", how, run_stop(run, "files", how, files, batch, *more))["calls_per_io"]
        unwatched = Watcher(None)

        def slice_of(how: str) -> float:
            told = run_stop(unwatched, "files", how, files, batch, *more).told
            return 1e9 * float(told["elapsed_s"]) / files

        arms = {how: (lambda how=how: slice_of(how)) for how in HOWS}
        found = trial.compare(arms, baseline="plain", slices=slices, seed=seed, progress=report)
        facts = provenance(per_file=per_file, cache=cache, files=files, baseline="plain")
    return schema.frame(found.assign(ns_per_file=found["value"]), **facts)


def clocks(count: int = 5, step_us: int = 2000, *, progress: Progress | None = None) -> pd.DataFrame:
    """Hand over timeouts, the longest first, and a read that nobody answers with a time limit linked to it.

    Parameters
    ----------
    count : how many timeouts, 1 to 256.
    step_us : the first takes one step, the second two, in microseconds, 1 to 1000000.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a result, in the order in which they came: arrived, request ("timeout" or "read with a limit"), asked_ns,
    took_ns (-1: not measured), result (what the kernel said).
    """
    count = check_int("count", count, 1, 256, "timeouts")
    step_us = check_int("step_us", step_us, 1, 1_000_000, "microseconds")
    report = progress or silent
    with exclusive("lesson 08: clocks", report):
        watched = run_stop(Watcher(None), "timeouts", "io_uring", count, 1, "--step-us", str(step_us))
        facts = provenance(command=watched.command)
    rows = [
        {"kind": "timeout", "asked_ns": ring["asked_us"] * 1000, "took_ns": ring["took_us"] * 1000,
         "result": ring["result"]}
        for ring in watched.told["timeouts"]
    ]  # fmt: skip
    rows.append({"kind": "read with a time limit", "asked_ns": step_us * 1000, "took_ns": -1,
                 "result": watched.told["given_up"]["read"]})  # fmt: skip
    report(1.0, "done")
    return schema.frame([{"arrived": number, **row} for number, row in enumerate(rows, 1)], **facts)
