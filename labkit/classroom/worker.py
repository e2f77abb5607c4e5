# SPDX-License-Identifier: Apache-2.0
"""Grade notebooks one after another inside the place made for it: `python -m labkit.classroom.worker IN OUT SECONDS`.

IN is a folder of notebooks; OUT gets one JSON per notebook (see `session`). SECONDS is for a learner's cells on a quiet
machine: here they have as much more as this place is slower. A session that does not end in time is killed, and the
next one starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from labkit.classroom.bounded import run_bounded
from labkit.classroom.limits import most_s, slowness, write_slowness
from labkit.machine.folders import repo_folder

__all__ = ["grade_one", "main"]


def grade_one(notebook: Path, result: Path, seconds: int, slow: float) -> dict[str, Any]:
    """Grade one notebook in a process of its own; write its result and return it.

    Parameters
    ----------
    seconds : how long the learner's cells may take on a quiet machine.
    slow : how many times slower this place is, as `limits.slowness` says.
    """
    started_s = time.monotonic()
    result.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="labkit-grade-") as scratch:
        environment = {
            **os.environ,
            "PYTHONPATH": str(repo_folder()),
            "LABKIT_PROGRESS": f"{scratch}/progress.json",
            "LABKIT_DATA": os.environ.get("LABKIT_GRADE_DATA", f"{scratch}/data"),
            "IPYTHONDIR": f"{scratch}/ipython",
            "MPLBACKEND": "agg",
        }
        words = [sys.executable, "-m", "labkit.classroom.session", str(notebook), str(result)]
        words.append(str(round(seconds * slow)))
        log = Path(scratch) / "log"
        with log.open("wb") as stderr:
            status = run_bounded(
                words,
                most_s(seconds, slow),
                folder=Path(scratch),
                environment=environment,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        ended = f"it took longer than {most_s(seconds, slow):.0f} s" if status is None else ""
        if status:
            ended = f"the lab's side ended with {status}"
        last = log.read_text(errors="replace")[-300:].strip()
    try:
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = {"answers": {}, "cells": [], "signs": [], "ended": ended or "no result was written"}
    if ended and not found["ended"]:
        found["ended"] = f"{ended}: {last.splitlines()[-1]}" if last else ended
    found["seconds"] = round(time.monotonic() - started_s, 1)
    found["kernel"] = os.uname().release
    found["slowness"] = slow
    result.write_text(json.dumps(found), encoding="utf-8")
    return found


def main(argv: list[str]) -> int:
    given, out, seconds = Path(argv[0]), Path(argv[1]), int(argv[2])
    slow = slowness()
    write_slowness(out, slow)
    for notebook in sorted(given.glob("*.ipynb")):
        grade_one(notebook, out / f"{notebook.stem}.json", seconds, slow)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
