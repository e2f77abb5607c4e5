# SPDX-License-Identifier: Apache-2.0
"""Lesson 10: one transaction of SQLite, call by call; and strace as a witness of the counts."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from labkit import schema
from labkit.bpf.program import Program
from labkit.bpf.ring import RingReader
from labkit.errors import Missing, WorkloadError, several
from labkit.lessons.capstone.calls import file_of, name_of, read_calls, watching
from labkit.lessons.capstone.sqlite import (
    FILES,
    FOLDER,
    SqliteRun,
    SqliteSettings,
    application,
    check_room,
    memory_warnings,
    run_once,
    without_talk,
)
from labkit.machine.doctor import software
from labkit.machine.provenance import provenance
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, Tick
from labkit.running.workload import Workload
from labkit.stats import trial

__all__ = ["transaction", "which_transaction", "witnesses"]

MARK = "getppid"  # the application makes this call, which SQLite never makes, before each transaction if asked to
MOST_EVENTS = 1_000_000
_EACH = ["arm", "time_ns", "call", "file", "latency_ns", "returned", "transaction", "alike", "transactions"]


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

    Returns one row per call, in order: arm, time_ns (since the transaction began), call, file, latency_ns, returned.
    Ten transactions run. Those with the most common number of calls are chosen, and of these the one of median length:
    it is number `transaction` of `transactions`, and `alike` of them make as many calls.
    """
    made = (SqliteSettings(mode, synchronous, 11, 1, row_bytes) for mode in several("journal", journal))
    arms = {settings.name: settings for settings in made}
    with (
        exclusive("lesson 10: one transaction", progress) as report,
        Program("capstone", flags={"EACH": 1}) as program,
        run_folder() as folder,
    ):

        def one(settings: SqliteSettings, tick: Tick) -> tuple[pd.DataFrame, SqliteRun, int]:
            check_room(folder, settings)
            with RingReader(program, "events", max_events=MOST_EVENTS) as ring:
                seen = run_once(settings, folder, tick, watch=program, marks=True)
                ring.stop()
                return _typical(ring.frame()).assign(arm=settings.name), seen, ring.lost

        frames, runs, lost = zip(*trial.once(arms, one, progress=report).values(), strict=True)
        facts = provenance(
            command=runs[-1].command,
            lost_events=sum(lost),
            warnings=memory_warnings(folder),
            sqlite=runs[-1].sqlite,
        )
    return schema.frame(pd.concat(frames, ignore_index=True)[_EACH], **facts)


def which_transaction(frame: pd.DataFrame) -> str:
    """Return in words which transaction of each arm a frame of `transaction` shows."""
    said = [
        f"{arm}: transaction {rows['transaction'].iloc[0]} of {rows['transactions'].iloc[0]}; "
        f"{rows['alike'].iloc[0]} of them make {len(rows)} calls."
        for arm, rows in frame.groupby("arm", sort=False)
    ]
    return " ".join(said)


def witnesses(journal: str = "delete", transactions: int = 23, *, progress: Progress | None = None) -> pd.DataFrame:
    """Let strace and the program in the kernel watch the same run, and compare their counts.

    Parameters
    ----------
    journal, transactions : as of `measure`.
    progress : see `labkit.running.progress`.

    Returns one row per system call: call, count (by eBPF), strace_count.

    Raises
    ------
    Missing : strace is not installed, or may not follow a process.
    """
    settings, strace = SqliteSettings(journal, "full", transactions), shutil.which("strace")
    if strace is None:
        raise Missing("strace is not installed.", "sudo apt-get install strace")
    with exclusive("lesson 10: strace", progress) as report, Program("capstone") as program, run_folder() as folder:
        own, log = folder / FOLDER, folder / "strace"
        own.mkdir()
        command = ["-f", "-s", "8", "-o", str(log), *application(), *settings.arguments(own)]
        with _allowed(), Workload(Path(strace), command) as run, watching(program, _only_child(run.pid), FILES):
            run.go(timeout_s=120 + transactions, tick=lambda _: report(0.5, "both watch"))
        seen = Counter[str]()
        for (call, _), each in without_talk(read_calls(program, FILES)).items():
            seen[call] += each.count
        result = _between(log.read_text(errors="replace"))
        facts = provenance(command=run.command, lost_events=program.lost_events)
    rows = [{"call": call, "count": seen[call], "strace_count": result[call]} for call in sorted({*seen, *result})]
    return schema.frame(rows, **facts)


# -- inside --------------------------------------------------------------------------------------


def _typical(events: pd.DataFrame) -> pd.DataFrame:
    """Return the calls of a typical transaction; transaction, alike and transactions say which one of how many it is.

    Each begins with a mark; the last has no end. A transaction with more calls found a full page, for instance.
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
    return one.assign(transaction=chosen, alike=len(alike), transactions=len(lengths))


@contextlib.contextmanager
def _allowed() -> Iterator[None]:
    """Use the doctor's words if strace failed because ptrace(2) is refused."""
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
    """Return how often each call is in a log of strace, after the line that read "go" and before the answer."""
    lines = log.splitlines()
    first = next(number for number, line in enumerate(lines) if re.search(r'read.*"go\\n"', line))
    last = next(number for number, line in enumerate(lines) if number > first and re.search(r"\bwrite\(1, ", line))
    found = (re.match(r"\d+ +(\w+)\(.*\) += ", line) for line in lines[first + 1 : last])
    return Counter(match[1] for match in found if match)
