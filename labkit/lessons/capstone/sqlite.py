# SPDX-License-Identifier: Apache-2.0
"""Lesson 10: one run of the application on SQLite (labkit/lessons/capstone/application.py), watched or not."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from labkit.bpf.program import Program
from labkit.errors import Missing, WorkloadError, bad_argument, check_choice, check_int
from labkit.lessons.capstone.calls import NO_FILE, Calls, read_calls, watching
from labkit.machine.mounts import mount_of
from labkit.running.files import in_memory, room_for
from labkit.running.progress import Tick
from labkit.running.workload import Workload

__all__ = [
    "DATABASE",
    "FILES",
    "FOLDER",
    "JOURNALS",
    "SYNCHRONOUS",
    "SqliteRun",
    "SqliteSettings",
    "application",
    "check_room",
    "memory_warnings",
    "run_once",
    "stored_rows",
    "without_talk",
]

APPLICATION = Path(__file__).with_name("application.py")
DISTRIBUTION = Path("/usr/bin/python3")

JOURNALS = ("delete", "truncate", "persist", "wal")
SYNCHRONOUS = ("off", "normal", "full", "extra")
# The last four letters of a file's name -> what it is. The folder, which is synced too, is named so that it has some.
FILES = {"s.db": "database", "rnal": "journal", "-wal": "log", "-shm": "log's index", "shop": "folder"}
FOLDER = "shop"
DATABASE = "orders.db"

MOST_TRANSACTIONS, MOST_ROWS, LARGEST_ROW = 100_000, 10_000, 1 << 20
MOST_BYTES = 256 << 20
SLOWEST_S = 1.0  # for a transaction; a disk that turns takes a tenth of it
_ROOM_BYTES = 64 << 20
_ASK = "SELECT count(*) FROM orders; PRAGMA integrity_check;"


@dataclass(frozen=True)
class SqliteSettings:
    """How rows are stored. Raises BadArgument, naming the parameter, for what SQLite or the lab cannot do."""

    journal: str = "delete"
    synchronous: str = "full"
    transactions: int = 101
    rows_per_transaction: int = 1
    row_bytes: int = 4096

    def __post_init__(self) -> None:
        check_choice("journal", self.journal, JOURNALS)
        check_choice("synchronous", self.synchronous, SYNCHRONOUS)
        limits = (
            ("transactions", MOST_TRANSACTIONS, ""),
            ("rows_per_transaction", MOST_ROWS, "rows"),
            ("row_bytes", LARGEST_ROW, "bytes"),
        )
        for name, highest, unit in limits:
            object.__setattr__(self, name, check_int(name, getattr(self, name), 1, highest, unit))
        if self.rows * self.row_bytes > MOST_BYTES:
            allowed = f"less: transactions times rows_per_transaction times row_bytes may be {MOST_BYTES >> 20} MiB"
            raise bad_argument("transactions", self.transactions, allowed)

    @property
    def rows(self) -> int:
        return self.transactions * self.rows_per_transaction

    @property
    def name(self) -> str:
        """What it is called in a frame: "wal/full", or "wal/full with 16 rows at once"."""
        together = "" if self.rows_per_transaction == 1 else f" with {self.rows_per_transaction} rows at once"
        return f"{self.journal}/{self.synchronous}{together}"

    def arguments(self, folder: Path) -> list[str]:
        """Return the options of the application, to work in `folder`."""
        given = {
            "folder": folder,
            "journal": self.journal,
            "synchronous": self.synchronous,
            "transactions": self.transactions,
            "rows-per-transaction": self.rows_per_transaction,
            "row-bytes": self.row_bytes,
        }
        return [word for name, value in given.items() for word in (f"--{name}", str(value))]


@dataclass(frozen=True)
class SqliteRun:
    """What one run of the application came to."""

    calls: Calls  # none if nobody watched
    elapsed_s: float
    transactions: int
    rows: int
    stored_rows: int  # as SQLite's own shell counts them afterwards; 0 without it
    lost_events: int
    sqlite: str
    command: list[str]


def application() -> list[str]:
    """Return the command of the application: this Python if it has SQLite, else the distribution's.

    Raises
    ------
    Missing : neither has it.
    """
    if importlib.util.find_spec("_sqlite3") is not None:
        return [sys.executable, "-I", str(APPLICATION)]
    if DISTRIBUTION.exists():
        return [str(DISTRIBUTION), "-I", str(APPLICATION)]
    raise Missing("This Python was built without SQLite.", "sudo apt-get install python3, or use another Python")


def check_room(folder: Path, settings: SqliteSettings) -> None:
    """Refuse settings for which the disk has no room: the rows are in the database and in the log or journal."""
    room_for(folder, (_ROOM_BYTES + 3 * settings.rows * (settings.row_bytes + 4096)) // 2)


def memory_warnings(folder: Path) -> list[str]:
    """Return a warning where the data folder is no disk."""
    if not in_memory(folder):
        return []
    kind = mount_of(folder).kind
    return [f"The data folder is in memory ({kind}), where a sync costs nothing: set LABKIT_DATA to one on a disk."]


def run_once(
    settings: SqliteSettings,
    folder: Path,
    tick: Tick | None = None,
    *,
    watch: Program | None = None,
    marks: bool = False,
) -> SqliteRun:
    """Run the application once in a fresh folder.

    Parameters
    ----------
    folder : of this measurement; the application's own folder in it is gone afterwards.
    tick : see `labkit.running.workload`.
    watch : c/bpf/capstone.c, loaded, to watch from "go" to the answer; None watches nothing.
    marks : let the application make a mark before each transaction.
    """
    own = folder / FOLDER
    own.mkdir()
    python, *options = application()
    with Workload(Path(python), [*options, *settings.arguments(own), *(["--marks"] * marks)]) as run:
        with watching(watch, run.pid, FILES) if watch else nullcontext():
            result = run.go(timeout_s=60 + SLOWEST_S * settings.transactions, tick=tick)
    stored = stored_rows(own)
    shutil.rmtree(own)
    calls = without_talk(read_calls(watch, FILES)) if watch else {}
    return SqliteRun(
        calls,
        result["elapsed_s"],
        result["transactions"],
        result["rows"],
        stored,
        watch.lost_events if watch else 0,
        result["sqlite"],
        run.command,
    )


def without_talk(calls: Calls) -> Calls:
    """Leave out what the application says to the lab: it reads "go" and writes its answer, neither to a file."""
    return {each: call for each, call in calls.items() if each not in (("read", NO_FILE), ("write", NO_FILE))}


def stored_rows(folder: Path) -> int:
    """Ask SQLite's own shell, another program, how many rows the file has; 0 where it is not installed.

    Raises
    ------
    WorkloadError : the shell finds the database damaged.
    """
    shell = shutil.which("sqlite3")
    if shell is None:
        return 0
    asked = subprocess.run([shell, str(folder / DATABASE), _ASK], capture_output=True, text=True, check=False)
    rows, _, verdict = asked.stdout.strip().partition("\n")
    if verdict != "ok":
        raise WorkloadError(
            "The database that was left is damaged.", "look at the disk: dmesg", asked.stdout + asked.stderr
        )
    return int(rows)
