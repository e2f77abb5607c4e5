# SPDX-License-Identifier: Apache-2.0
"""Try a program on one kernel after another; one emulated machine at a time, each with a limit."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit.bpf.cell import Cell
from labkit.bpf.elsewhere.guest import ACCEPTED, NOT_TRIED, REFUSED
from labkit.bpf.elsewhere.plan import Boot, Candidate
from labkit.bpf.text import Source
from labkit.bpf.verifier import explain
from labkit.errors import BadArgument, VerifierError
from labkit.machine.folders import repo_folder
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
from labkit.running.progress import Progress, part, silent

__all__ = ["Answer", "answers", "as_text", "check_here"]

LIMIT_S = 580.0  # less than other measurements wait for the lock (600 s)
_SAID_LINES = 3


@dataclass(frozen=True)
class Answer:
    """What became of the program on one kernel.

    Attributes
    ----------
    kernel : the candidate's name.
    release : as `uname -r` says it there; empty if it did not get that far.
    verdict : one of `labkit.bpf.elsewhere.guest.VERDICTS`.
    headline : the lab's own first line of what is wrong there; or why it was not tried. Empty if accepted.
    seconds : from switching the machine on until it was off.
    """

    kernel: str
    release: str
    verdict: str
    headline: str
    seconds: float


def check_here(path: Path, flags: Mapping[str, str], kind: str = "") -> Answer:
    """Load a program on the kernel that runs, without attaching it; return the row for this machine.

    Raises
    ------
    BadArgument : no such file, or it has no function that can be loaded.
    CompileError : clang refuses it.
    Missing : no BCC, no kernel headers, or no privilege.
    """
    if not path.is_file():
        raise BadArgument(f"There is no file {path}.", "name a C file: labkit elsewhere opens.c")
    started = time.monotonic()
    told = explain.refused_by_clang(Source.of(path.resolve(), flags))
    if told is not None:
        raise told.error()
    verdict, headline = ACCEPTED, ""
    try:
        with Cell(path, flags=flags, count_losses=False) as program:
            loaded = program.load()
            if kind:
                others = [name for name in program.functions if name not in loaded]
                loaded |= {name: program.load_function(name, kind) for name in others}
            if not loaded:
                raise BadArgument(
                    f"{path.name} has no function whose name says what it is.",
                    "begin one with TRACEPOINT_PROBE(category, event), or say --kind SOCKET_FILTER or another",
                )
    except VerifierError as error:
        verdict, headline = REFUSED, error.what
    return Answer("this machine", os.uname().release, verdict, headline, round(time.monotonic() - started, 1))


def answers(
    path: Path,
    flags: Mapping[str, str],
    tried: Sequence[Candidate],
    *,
    kind: str = "",
    limit_s: float = LIMIT_S,
    progress: Progress = silent,
) -> Iterator[Answer]:
    """Yield what becomes of a program on each candidate, in their order; those that cannot be booted come first.

    Parameters
    ----------
    path, flags : of the C file; its text is read before the first machine is started.
    kind : as of `%%bpf --kind`.
    limit_s : seconds per kernel.
    progress : its exception ends the machine that runs.
    """
    task = {"file": path.name, "flags": dict(flags), "kind": kind}
    given = {path.name: path.read_text(encoding="utf-8"), "task.json": json.dumps(task)}
    yield from (Answer(one.name, "", NOT_TRIED, one.reason, 0.0) for one in tried if one.boot is None)
    booted = [(one.name, one.boot) for one in tried if one.boot is not None]
    for number, (name, boot) in enumerate(booted):
        share = part(progress, number / len(booted), (number + 1) / len(booted))
        # held for one kernel at a time: other labs' measurements come in between
        with exclusive(f"{path.name} on kernel {name}", share) as tell, run_folder() as folder:
            found = _tried(name, boot, given, folder / name, limit_s, tell)
        yield found


def _tried(name: str, boot: Boot, given: Mapping[str, str], out: Path, limit_s: float, progress: Progress) -> Answer:
    python = "python" if name.startswith("arm64") else shlex.quote(sys.executable)
    tree = "/lab" if name.startswith("arm64") else shlex.quote(str(repo_folder()))
    script = f"PYTHONPATH={tree} exec {python} -m labkit.bpf.elsewhere.guest /mnt/task.json\n"
    started = time.monotonic()

    def tick(gone_s: float) -> None:
        progress(min(gone_s / limit_s, 1.0), f"{name}: emulated, {gone_s:.0f} s of at most {limit_s:.0f} s")

    ended = boot(out, {**given, "run": script}, limit_s, tick)
    seconds = round(time.monotonic() - started, 1)
    answer = out / "answer.json"
    if answer.is_file() and answer.read_text().endswith("\n"):
        told = json.loads(answer.read_text())
        return Answer(name, told["release"], told["verdict"], told["headline"], seconds)
    if not ended:
        return Answer(name, "", NOT_TRIED, f"no answer in {limit_s:.0f} s: give it more time with --limit", seconds)
    output = out / "output"
    said = output.read_text(errors="replace").strip().splitlines()[-_SAID_LINES:] if output.is_file() else []
    return Answer(name, "", NOT_TRIED, f"the machine gave no answer: {' / '.join(said) or 'it did not boot'}", seconds)


def as_text(found: Sequence[Answer]) -> str:
    """Return the rows for a terminal, in columns."""
    rows = [["kernel", "release", "verdict", "seconds", "why"]]
    rows += [[one.kernel, one.release, one.verdict, f"{one.seconds:.0f}", one.headline] for one in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
