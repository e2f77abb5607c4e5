"""Lesson 10: watch a real application. SQLite stores rows: by which system calls, how many, how long?

What its journal is for: https://sqlite.org/atomiccommit.html and https://sqlite.org/wal.html.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.errors import Missing, WorkloadError, check_seed, several
from labkit.lessons.capstone.calls import SYNCS, aim, call_rows, file_of, name_of, read_calls
from labkit.lessons.capstone.sqlite import (
    FILES,
    FOLDER,
    Job,
    Seen,
    application,
    check_room,
    in_memory,
    watched,
    without_talk,
)
from labkit.machine.doctor import software
from labkit.machine.folders import quick
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, silent
from labkit.running.workload import Workload
from labkit.stats import trial

__all__ = ["measure", "ratios", "steadiness", "summary", "transaction", "witnesses"]

MARK = "getppid"  # the application makes this call, which SQLite never makes, before each transaction if asked to
MOST_EVENTS = 1_000_000


def measure(
    journal: str | Sequence[str] = ("delete", "wal"),
    synchronous: str | Sequence[str] = "full",
    rows_per_transaction: int | Sequence[int] = 1,
    *,
    transactions: int | None = None,
    row_bytes: int = 4096,
    slices: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Let SQLite store rows, and count and time every system call that it makes.

    Parameters
    ----------
    journal : SQLite's journal_mode: "delete", "truncate", "persist", "wal"; one or several.
    synchronous : "off", "normal", "full", "extra": how careful SQLite is about power cuts; one or several.
    rows_per_transaction : rows that are committed together, 1 to 10,000; one number or several.
    transactions : in each slice, 1 to 100,000; None is 53 (23 in a hurry).
    row_bytes : size of a row, 1 to 1 MiB.
    slices : of each arm, 2 to 100, interleaved; the first arm runs twice in each round. None is 6 (2 in a hurry).
    seed : of the order of the slices; None draws one.
    progress : see `labkit.running.progress`.

    Returns
    -------
    One row a kind of call on a kind of file, for each arm: arm, journal, synchronous, rows_per_transaction, call, file
    (database, journal, log, log's index, folder, or "–"), count, calls_per_transaction, total_ns, ns_per_transaction,
    p50_ns, p99_ns, written_bytes (none for calls that write nothing), share (of the whole time).
    `summary` makes one row an arm of it, and `ratios` compares the arms' times.

    Raises
    ------
    BadArgument : an argument is not allowed; nothing has been started.
    Missing : BPF cannot be loaded, or no Python here has SQLite.
    LabkitError : the data folder is full, or may not be written.
    """
    transactions = quick(53, 23) if transactions is None else transactions
    asked = product(
        several("journal", journal), several("synchronous", synchronous),
        several("rows_per_transaction", rows_per_transaction),
    )  # fmt: skip
    jobs = {job.name: job for job in (Job(mode, care, transactions, batch, row_bytes) for mode, care, batch in asked)}
    slices = trial.check_slices(slices, 6, 2)
    report, seed = progress or silent, check_seed(seed)
    first, seen, times = next(iter(jobs)), {name: Seen() for name in jobs}, []
    with exclusive("lesson 10: SQLite", report), Program("capstone") as program, run_folder() as folder:
        for job in jobs.values():
            check_room(folder, job)
        warnings = in_memory(folder) + _without_shell()
        plan = trial.order([*jobs, first + trial.AGAIN], slices, seed)
        for done, (number, arm) in enumerate(plan):

            def tick(_: float, done: int = done, arm: str = arm) -> None:
                report(done / len(plan), arm)

            name = arm.removesuffix(trial.AGAIN)
            found, command = watched(program, jobs[name], folder, tick)
            times.append({"arm": arm, "slice": number, "value": 1e9 * found.elapsed_s / found.rows})
            if arm == name:
                seen[name] += found
        lost = sum(found.lost_events for found in seen.values())
        facts = provenance(
            command=command, slices=slices, seed=seed, baseline=first, sqlite=found.sqlite, row_bytes=row_bytes,
            lost_events=lost, warnings=warnings, times=times,
        )  # fmt: skip
    report(1.0, "done")
    rows = [{**_setting(job), **row} for name, job in jobs.items() for row in _rows(seen[name])]
    return schema.frame(rows, **facts, arms=[_sums(job, seen[name]) for name, job in jobs.items()])


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what `measure` found, one row an arm.

    Columns: arm, transactions, rows, stored_rows (by SQLite's own shell; 0 without it), ns_per_transaction,
    ns_per_row, calls_per_transaction, syncs_per_transaction, bytes_per_transaction, sync_share (of the time).
    """
    rows = []
    for arm in frame.attrs["arms"]:
        own = frame[frame["arm"] == arm["arm"]]
        syncs = own[own["call"].isin(SYNCS)]
        rows.append(
            {
                **{name: arm[name] for name in ("arm", "transactions", "rows", "stored_rows")},
                "ns_per_transaction": 1e9 * arm["elapsed_s"] / arm["transactions"],
                "ns_per_row": 1e9 * arm["elapsed_s"] / arm["rows"],
                "calls_per_transaction": own["count"].sum() / arm["transactions"],
                "syncs_per_transaction": syncs["count"].sum() / arm["transactions"],
                "bytes_per_transaction": own["written_bytes"].sum() / arm["transactions"],
                "sync_share": syncs["total_ns"].sum() / 1e9 / arm["elapsed_s"],
            }
        )
    made = schema.frame(rows)
    made.attrs = dict(frame.attrs)
    return made


def ratios(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the time of a row in each arm, times that in the first, with its 95 % interval: see `trial.ratios`."""
    times = schema.frame(frame.attrs["times"], baseline=frame.attrs["baseline"])
    made = trial.ratios(times)
    made.attrs = {**frame.attrs, "warnings": [*frame.attrs["warnings"], *made.attrs["warnings"]]}
    return made


def steadiness(found: pd.DataFrame) -> str:
    """Return in one sentence by how much the first arm, which ran twice in each round, differed from itself.

    Parameters
    ----------
    found : as `ratios` returns it.
    """
    again = found[found["arm"] == found.attrs["baseline"] + trial.AGAIN].iloc[0]
    ratio, low, high = again["ratio"], again["low"], again["high"]
    name, span = found.attrs["baseline"], "95 % interval" if again["slices"] >= trial.ENOUGH else "range"
    told = f"{low:.2f} to {high:.2f}, {span}"
    if not low <= 1 <= high:
        said = f"{name} differed from itself by a factor of {ratio:.2f} ({told}): the disk was restless."
    elif max(high - 1, 1 - low) > trial.WIDE:
        said = f"{name} may differ from itself by any factor within {told}: the disk was restless."
    else:
        return f"{name} was like itself, by a factor of {ratio:.2f} ({told}): the disk was steady."
    return f"{said} Believe only differences that are much larger than that."


def transaction(
    journal: str | Sequence[str] = ("delete", "wal"),
    synchronous: str = "full",
    *,
    row_bytes: int = 4096,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Record a single transaction call by call.

    Parameters
    ----------
    journal, synchronous, row_bytes : as of `measure`.
    progress : see `labkit.running.progress`.

    Returns one row a call, in order: arm, time_ns (since the transaction began), call, file, latency_ns, returned. Of
    ten transactions in a row, those with the commonest number of calls; of these, that of the middle length. Which it
    is, and of how many, stands in `attrs["chosen"]`, in words.
    """
    jobs = [Job(mode, synchronous, 11, 1, row_bytes) for mode in several("journal", journal)]
    report, found, chosen, lost = progress or silent, [], [], 0
    with (
        exclusive("lesson 10: one transaction", report),
        Program("capstone", flags={"EACH": 1}) as program,
        run_folder() as folder,
    ):
        for done, job in enumerate(jobs):
            check_room(folder, job)

            def tick(_: float, done: int = done, job: Job = job) -> None:
                report(done / len(jobs), job.name)

            with RingReader(program, "events", max_events=MOST_EVENTS) as ring:
                seen, command = watched(program, job, folder, tick, marks=True)
                ring.stop()
                one, place, alike, of = _typical(ring.frame())
                found.append(one.assign(arm=job.name))
                chosen.append(f"{job.name}: transaction {place} of {of}; {alike} of them make {len(one)} calls.")
                lost += ring.lost
        facts = provenance(command=command, lost_events=lost, warnings=in_memory(folder), sqlite=seen.sqlite)
        facts["chosen"] = " ".join(chosen)
    report(1.0, "done")
    return schema.frame(pd.concat(found, ignore_index=True)[_EACH], **facts)


def witnesses(journal: str = "delete", transactions: int = 23, *, progress: Progress | None = None) -> pd.DataFrame:
    """Let strace and the program in the kernel watch the same run, and compare what they counted.

    Parameters
    ----------
    journal, transactions : as of `measure`.
    progress : see `labkit.running.progress`.

    Returns one row a system call: call, count (by eBPF), strace_count.

    Raises
    ------
    Missing : strace is not installed, or may not follow a process.
    """
    job, report, strace = Job(journal, "full", transactions), progress or silent, shutil.which("strace")
    if strace is None:
        raise Missing("strace is not installed.", "sudo apt-get install strace")
    with exclusive("lesson 10: strace", report), Program("capstone") as program, run_folder() as folder:
        own, log = folder / FOLDER, folder / "strace"
        own.mkdir()
        watching = ["-f", "-s", "8", "-o", str(log), *application(), *job.arguments(own)]
        with _allowed(), Workload(Path(strace), watching) as run:
            aim(program, _only_child(run.pid), FILES)
            program.attach()
            run.go(timeout_s=120 + transactions, tick=lambda _: report(0.5, "both watch"))
            program.detach()
        seen = Counter[str]()
        for (call, _), each in without_talk(read_calls(program, FILES)).items():
            seen[call] += each.count
        told = _between(log.read_text(errors="replace"))
        facts = provenance(command=run.command, lost_events=program.lost_events)
    report(1.0, "done")
    rows = [{"call": call, "count": seen[call], "strace_count": told[call]} for call in sorted({*seen, *told})]
    return schema.frame(rows, **facts)


# -- inside --------------------------------------------------------------------------------------

_EACH = ["arm", "time_ns", "call", "file", "latency_ns", "returned"]


def _without_shell() -> list[str]:
    return [] if shutil.which("sqlite3") else ["sqlite3 is not installed: nobody else counted the rows."]


def _setting(job: Job) -> dict[str, Any]:
    return {
        "arm": job.name,
        "journal": job.journal,
        "synchronous": job.synchronous,
        "rows_per_transaction": job.rows_per_transaction,
    }


def _sums(job: Job, seen: Seen) -> dict[str, Any]:
    kept = ("transactions", "rows", "stored_rows", "elapsed_s")
    return {**_setting(job), **{name: getattr(seen, name) for name in kept}}


def _rows(seen: Seen) -> list[dict[str, Any]]:
    rows = call_rows(seen.calls, "transaction", seen.transactions)
    return [{**row, "share": row["total_ns"] / 1e9 / seen.elapsed_s} for row in rows]


def _typical(events: pd.DataFrame) -> tuple[pd.DataFrame, int, int, int]:
    """Return the calls of a typical transaction, which one it is, and how many of how many make as many calls.

    Each begins with a mark; the last has no end. With many calls a page of the database was full, for instance.
    """
    made = events.sort_values("time_ns", kind="stable")
    made = made.assign(call=made["number"].map(name_of), file=made["kind"].map(lambda kind: file_of(kind, FILES)))
    number = (made["call"] == MARK).cumsum()
    begins, calls = made.groupby(number)["time_ns"].first(), made.groupby(number).size()
    lengths = begins.diff().shift(-1).drop(index=0, errors="ignore").dropna()
    calls = calls[lengths.index]
    alike = lengths[calls == calls.mode().iloc[0]].sort_values()
    chosen = int(alike.index[len(alike) // 2])
    one: pd.DataFrame = made[(number == chosen) & (made["call"] != MARK)].copy()
    one["time_ns"] -= begins[chosen]
    return one, chosen, len(alike), len(lengths)


@contextlib.contextmanager
def _allowed() -> Iterator[None]:
    """Say it in the doctor's words where strace could not do its work because ptrace(2) is refused."""
    try:
        yield
    except WorkloadError as error:
        found = software.strace()
        if found.state == "ok":
            raise
        raise Missing(f"strace cannot follow the application here: {found.reason}.", found.fix, error.detail) from None


def _only_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    if len(children) != 1:
        raise WorkloadError("strace has not started the application.", "run it by hand: strace -f true")
    return int(children[0])


def _between(log: str) -> Counter[str]:
    """Return how often each call stands in a log of strace after the line that read "go" and before the answer."""
    lines = log.splitlines()
    first = next(number for number, line in enumerate(lines) if re.search(r'read.*"go\\n"', line))
    last = next(number for number, line in enumerate(lines) if number > first and re.search(r"\bwrite\(1, ", line))
    found = (re.match(r"\d+ +(\w+)\(.*\) += ", line) for line in lines[first + 1 : last])
    return Counter(match[1] for match in found if match)
