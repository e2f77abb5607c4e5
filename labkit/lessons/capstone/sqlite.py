"""Lesson 10: one run of the application on SQLite (labkit/lessons/capstone/application.py), watched from the kernel."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from labkit.bpf.program import Program
from labkit.errors import LabkitError, Missing, WorkloadError, bad_argument, check_choice, check_int
from labkit.lessons.capstone.calls import NO_FILE, Call, Calls, aim, read_calls
from labkit.machine.mounts import IN_MEMORY, mount_of
from labkit.running.progress import Tick
from labkit.running.workload import Workload

__all__ = [
    "DATABASE", "FILES", "FOLDER", "JOURNALS", "SYNCHRONOUS", "Job", "Seen", "application", "check_room", "in_memory",
    "stored_rows", "watched", "without_talk",
]  # fmt: skip

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
class Job:
    """One way to store rows. Raises BadArgument, naming the parameter, for what SQLite or the lab cannot do."""

    journal: str = "delete"
    synchronous: str = "full"
    transactions: int = 101
    rows_per_transaction: int = 1
    row_bytes: int = 4096

    def __post_init__(self) -> None:
        check_choice("journal", self.journal, JOURNALS)
        check_choice("synchronous", self.synchronous, SYNCHRONOUS)
        most = {"transactions": MOST_TRANSACTIONS, "rows_per_transaction": MOST_ROWS, "row_bytes": LARGEST_ROW}
        for name, highest in most.items():
            object.__setattr__(self, name, check_int(name, getattr(self, name), 1, highest))
        if self.rows * self.row_bytes > MOST_BYTES:
            allowed = f"less: transactions times rows_per_transaction times row_bytes may be {MOST_BYTES >> 20} MiB"
            raise bad_argument("transactions", self.transactions, allowed)

    @property
    def rows(self) -> int:
        return self.transactions * self.rows_per_transaction

    @property
    def name(self) -> str:
        """What it is called in a frame: "wal, full", or "wal, full, 16 rows at once"."""
        together = "" if self.rows_per_transaction == 1 else f", {self.rows_per_transaction} rows at once"
        return f"{self.journal}, {self.synchronous}{together}"

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


@dataclass
class Seen:
    """What one run came to; may be added up."""

    calls: Calls = field(default_factory=dict)
    elapsed_s: float = 0.0
    transactions: int = 0
    rows: int = 0
    stored_rows: int = 0  # as SQLite's own shell counts them afterwards; 0 without it
    lost_events: int = 0
    sqlite: str = ""

    def __add__(self, other: Seen) -> Seen:
        both = {*self.calls, *other.calls}
        return Seen(
            {each: self.calls.get(each, Call()) + other.calls.get(each, Call()) for each in both},
            self.elapsed_s + other.elapsed_s,
            self.transactions + other.transactions,
            self.rows + other.rows,
            self.stored_rows + other.stored_rows,
            self.lost_events + other.lost_events,
            other.sqlite,
        )


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


def check_room(folder: Path, job: Job) -> None:
    """Refuse a job for which the disk has no room: its rows stand in the database and in the log or journal."""
    wanted = _ROOM_BYTES + 3 * job.rows * (job.row_bytes + 4096)
    if shutil.disk_usage(folder).free < wanted:
        raise LabkitError(
            f"The data folder has no room for {wanted >> 20} MiB.",
            "free some space, or set LABKIT_DATA to a folder on another disk",
        )


def in_memory(folder: Path) -> list[str]:
    """Return a warning where the data folder is no disk."""
    kind = mount_of(folder).kind
    if kind not in IN_MEMORY:
        return []
    return [f"The data folder is in memory ({kind}), where a sync costs nothing: set LABKIT_DATA to one on a disk."]


def watched(
    program: Program, job: Job, folder: Path, tick: Tick | None = None, *, marks: bool = False
) -> tuple[Seen, list[str]]:
    """Run the application once in a fresh folder, watched from "go" to its answer.

    Returns what was seen, and the command.

    Parameters
    ----------
    program : c/bpf/capstone.c, loaded.
    folder : of this measurement; the application's own folder in it is gone afterwards.
    tick : see `labkit.running.workload`.
    marks : let the application make a mark before each transaction.
    """
    own = folder / FOLDER
    own.mkdir()
    python, *options = application()
    program.clear("begun", "kinds", "sums", "bars", "labkit_lost")
    with Workload(Path(python), [*options, *job.arguments(own), *(["--marks"] * marks)]) as run:
        aim(program, run.pid, FILES)
        program.attach()
        told = run.go(timeout_s=60 + SLOWEST_S * job.transactions, tick=tick)
        program.detach()
    stored = stored_rows(own)
    shutil.rmtree(own)
    seen = Seen(
        without_talk(read_calls(program, FILES)), told["elapsed_s"], told["transactions"], told["rows"], stored,
        program.lost_events, told["sqlite"],
    )  # fmt: skip
    return seen, run.command


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
