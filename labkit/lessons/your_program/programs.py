# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: three programs that nobody here wrote: git, sqlite3, and Python's web server."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from labkit import schema
from labkit.errors import LabkitError, Missing, check_float, check_int
from labkit.lessons.your_program.target import check_target
from labkit.lessons.your_program.watching import look_at
from labkit.machine import ending
from labkit.machine.folders import quick
from labkit.running import command, owner
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress

__all__ = ["git_status", "served", "slow_requests", "sqlite_query", "web_server"]

_FILE_BYTES = 1000
_LIMIT_S = 120.0


def _found(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} is not installed.", f"sudo apt-get install {package}")
    return path


def git_status(files: int | None = None, *, progress: Progress | None = None) -> pd.DataFrame:
    """Watch `git status` twice in a copied tree: the files are the same, their times are not.

    Parameters
    ----------
    files : in the tree, each of 1000 bytes, 1 to 100,000; None is 5000 (499 with LABKIT_QUICK=1).

    Returns
    -------
    One row per run (phase "first" or "second") and system call: phase, call, count, errors, total_ns, mean_ns, max_ns,
    bytes. `attrs` as of `watch`, for the first run.

    Raises
    ------
    Missing : git is not installed, or BPF cannot be loaded here.
    """
    count = check_int("files", quick(5000, 499) if files is None else files, 1, 100_000, "files")
    git = _found("git", "git")
    with exclusive("lesson 12: git status", progress) as report, run_folder() as folder:
        tree = folder / "tree"
        tree.mkdir()
        for number in range(count):
            (tree / f"file{number}").write_text(f"{number}\n".rjust(_FILE_BYTES))
        # the learner's own settings of git are left out
        words = [git, "-C", str(tree), "-c", "core.fsmonitor=false", "-c", "gc.auto=0"]
        for step in (["init", "-q"], ["add", "."]):
            _run([*words, *step])
        for number in range(count):
            os.utime(tree / f"file{number}", (1_000_000_000, 1_000_000_000))
        target = check_target(None, [*words, "status", "--porcelain"], None)
        runs = {phase: look_at(target, ["calls"], _LIMIT_S, report)["calls"] for phase in ("first", "second")}
    return _phases(runs)


def sqlite_query(lookups: int | None = None, *, progress: Progress | None = None) -> pd.DataFrame:
    """Watch sqlite3 look some rows up, without and with an index.

    Parameters
    ----------
    lookups : queries for one row each, 1 to 1000; None is 31 (11 with LABKIT_QUICK=1).

    Returns
    -------
    One row per run (phase "no index" or "index") and file: phase, path, opens, reads, writes, read_bytes,
    written_bytes, total_ns, database_bytes. `attrs` as of `watch`.

    Raises
    ------
    Missing : sqlite3 is not installed, or BPF cannot be loaded here.
    """
    count = check_int("lookups", quick(31, 11) if lookups is None else lookups, 1, 1000, "lookups")
    shell = _found("sqlite3", "sqlite3")
    with exclusive("lesson 12: sqlite3", progress) as report, run_folder() as folder:
        path = folder / "shop.db"
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE orders (customer TEXT, amount INTEGER, note TEXT)")
            rows = ((f"customer{number}", number, "x" * 800) for number in range(10_000))
            database.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
            database.commit()
        sql = " ".join(f"SELECT amount FROM orders WHERE customer = 'customer{n * 7}';" for n in range(count))
        target = check_target(None, [shell, "-batch", str(path), sql], None)
        sizes = {"no index": path.stat().st_size}
        runs = {"no index": look_at(target, ["files"], _LIMIT_S, report)["files"]}
        _run([shell, "-batch", str(path), "CREATE INDEX by_customer ON orders (customer)"])
        sizes["index"] = path.stat().st_size
        runs["index"] = look_at(target, ["files"], _LIMIT_S, report)["files"]
        for frame in runs.values():
            frame["path"] = frame["path"].map(lambda name: Path(name).name if name.startswith(str(folder)) else name)
    return _phases({phase: frame.assign(database_bytes=sizes[phase]) for phase, frame in runs.items()})


def web_server(
    delay_ms: float = 50.0, requests: int | None = None, *, progress: Progress | None = None
) -> pd.DataFrame:
    """Watch `python3 -m http.server` wait while a client asks; the same again with a client that sends at once.

    Parameters
    ----------
    delay_ms : how long the first client holds its connection before it sends the request, 1 to 1000 ms.
    requests : 1 to 1000; None is 29 (11 with LABKIT_QUICK=1).

    Returns
    -------
    One row per run (phase "slow" or "quick") and kind of wait: phase, wait, count, total_ns, mean_ns, requests,
    ns_per_request (from connect to the last byte, by the client). `attrs` as of `watch`.
    """
    delay_ms = check_float("delay_ms", delay_ms, 1, 1000, "ms")
    count = check_int("requests", quick(29, 11) if requests is None else requests, 1, 1000, "requests")
    with (
        exclusive("lesson 12: a web server", progress) as report,
        run_folder() as folder,
        _server(folder) as (pid, port),
    ):
        slow = slow_requests(pid, port, delay_ms, count, report)
        return _phases({"slow": slow, "quick": slow_requests(pid, port, 0.0, count, report)})


def slow_requests(pid: int, port: int, delay_ms: float, count: int, report: Progress) -> pd.DataFrame:
    """Ask a server while it is watched; return its waits, with the client's own mean time per request."""
    took_s: list[float] = []

    def ask() -> None:
        for _ in range(count):
            began = time.monotonic()
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                time.sleep(delay_ms / 1000)
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                while connection.recv(65536):
                    pass
            took_s.append(time.monotonic() - began)

    found = look_at(check_target(pid, None, None), ["waits"], _LIMIT_S, report, ask)["waits"]
    if len(took_s) < count:
        raise LabkitError("The web server did not answer each request.", "run the cell again")
    return schema.derived(found.assign(requests=count, ns_per_request=1e9 * sum(took_s) / count), found)


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[tuple[int, int]]:
    """Run `python3 -m http.server` on a free port of 127.0.0.1, in an empty folder; yield its process and port."""
    made: list[subprocess.Popen[bytes]] = []
    words = [_found("python3", "python3"), "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    if Path("/usr/bin/python3").exists():
        words[0] = "/usr/bin/python3"  # a version manager's python3 is a shell script first

    def start() -> None:
        made.append(
            subprocess.Popen(
                words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
            )
        )

    def end() -> None:
        for each in made:
            each.kill()
            if each.stdout is not None:
                each.stdout.close()
            ending.wait_killed(each)

    held = owner.acquire("python3 -m http.server", start, end)
    try:
        (server,) = made
        line = server.stdout.readline().decode() if server.stdout is not None else ""
        if " port " not in line:
            raise LabkitError("python3 -m http.server did not start.", "try it by hand: python3 -m http.server 0")
        yield server.pid, int(line.partition(" port ")[2].split()[0])
    finally:
        held.close()


@contextlib.contextmanager
def served() -> Iterator[tuple[int, int]]:
    """Run the web server in a folder of its own; for the exercise."""
    with run_folder() as folder, _server(folder) as found:
        yield found


def _run(words: list[str]) -> None:
    made = command.run(words, timeout_s=_LIMIT_S)
    if made.returncode:
        raise LabkitError(f"{Path(words[0]).name} failed: {made.stderr.strip()[:200]}", "run the cell again")


def _phases(runs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the frames of several runs as one, with the facts of the first."""
    first = next(iter(runs.values()))
    warnings = [f"{phase}: {said}" for phase, frame in runs.items() for said in frame.attrs["warnings"]]
    lost = sum(frame.attrs.get("lost_events", 0) for frame in runs.values())
    parts = [frame.assign(phase=phase)[["phase", *frame]] for phase, frame in runs.items()]
    return schema.derived(pd.concat(parts, ignore_index=True), first, warnings=warnings, lost_events=lost)
