# SPDX-License-Identifier: Apache-2.0
"""The learner's own copies of the lessons, and fresh ones for them; nothing that a learner wrote is ever lost.

In the container the lessons as shipped stay in `notebooks/`, and the learner works on copies in `LABKIT_NOTEBOOKS`, a
folder that outlives the container. Without that variable the learner works in `notebooks/` itself, and what was shipped
is what git last committed there.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from labkit.errors import LabkitError, Missing, unknown_name
from labkit.machine.folders import repo_folder

__all__ = ["find", "hand_out", "learner_folder", "reset", "shipped_folder"]

KEPT = "kept"  # the learner's copies that a reset took the place of
_LEDGER = ".handed-out.json"  # name -> digest of the edition that was handed out


def shipped_folder() -> Path:
    """Return the folder of the lessons as the lab brings them."""
    return repo_folder() / "notebooks"


def learner_folder() -> Path:
    """Return the folder in which the learner works: `LABKIT_NOTEBOOKS`, else the lessons' own."""
    chosen = os.environ.get("LABKIT_NOTEBOOKS")
    return (repo_folder() / chosen).resolve() if chosen else shipped_folder()


def find(lesson: str, folder: Path | None = None) -> Path:
    """Return the notebook of a lesson ("07") as the lab brings it, or raise BadArgument."""
    lessons = {path.name[:2]: path for path in sorted((folder or shipped_folder()).glob("[0-9][0-9]-*.ipynb"))}
    if lesson not in lessons:
        raise unknown_name("lesson", lesson, lessons)
    return lessons[lesson]


def hand_out(*, shipped: Path | None = None, folder: Path | None = None) -> list[str]:
    """Give the learner a copy of each lesson that is new, or that has a newer edition and was not touched.

    Parameters
    ----------
    shipped, folder : where the lessons are, and where the copies go; `shipped_folder` and `learner_folder` if None.

    Returns
    -------
    What there is to say, one line each: lessons with a newer edition which the learner has written in.

    Raises
    ------
    LabkitError : the folder cannot be written, or is full; the copies that were made before that stay.
    """
    shipped, folder = shipped or shipped_folder(), folder or learner_folder()
    if folder == shipped:
        return []
    try:
        return _hand_out(shipped, folder)
    except OSError as error:
        raise LabkitError(
            f"The lessons cannot be copied to {folder}: {error.strerror}.",
            f"remove files from it, or mount a larger volume there: df -h {folder}",
        ) from None


def _hand_out(shipped: Path, folder: Path) -> list[str]:
    ledger = _read_ledger(folder)
    said = []
    for source in sorted([*shipped.glob("*.ipynb"), *shipped.glob("solutions/*.ipynb")]):
        name = str(source.relative_to(shipped))
        fresh, copy = source.read_bytes(), folder / name
        edition, handed_out = _digest(fresh), ledger.get(name)
        if not copy.exists() or _digest(copy.read_bytes()) == handed_out != edition:
            _write(copy, fresh)
            ledger[name] = edition
        elif handed_out != edition and copy.read_bytes() != fresh:
            said.append(f"{name}: yours is of an older edition; for a fresh one: labkit reset {source.name[:2]}")
    _write(folder / _LEDGER, json.dumps(ledger, indent=1).encode() + b"\n")
    return said


def reset(
    lesson: str, *, shipped: Path | None = None, folder: Path | None = None, now: float | None = None
) -> tuple[Path, Path | None]:
    """Put a fresh copy of a lesson in the place of the learner's, which is kept in `kept/` next to it.

    Parameters
    ----------
    lesson : "07".
    now : the time in the kept copy's name, in seconds since 1970; the present if None.

    Returns
    -------
    The fresh copy, and where the learner's is now: None where there was none, or where it was fresh already.

    Raises
    ------
    BadArgument : there is no such lesson.
    Missing : the lesson as it was shipped is not available.
    LabkitError : the folder cannot be written; nothing was changed.
    """
    shipped, folder = shipped or shipped_folder(), folder or learner_folder()
    source = find(lesson, shipped)
    fresh = _committed(source) if folder == shipped else source.read_bytes()
    copy = folder / source.name
    try:
        kept = None
        if copy.exists() and copy.read_bytes() != fresh:
            kept = _keep(copy, time.time() if now is None else now)
        if kept or not copy.exists():
            _write(copy, fresh)
        if folder != shipped:
            _write(folder / _LEDGER, json.dumps({**_read_ledger(folder), source.name: _digest(fresh)}).encode())
    except OSError as error:
        what = f"A fresh lesson {lesson} cannot be written: {error}."
        raise LabkitError(what, f"make {folder} writable, or set LABKIT_NOTEBOOKS to a folder that is") from None
    return copy, kept


def _keep(copy: Path, now: float) -> Path:
    """Copy the learner's notebook to a name of its own, and see it on the disk before anything else is done."""
    (copy.parent / KEPT).mkdir(exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    number = 1
    while True:
        kept = copy.parent / KEPT / f"{copy.stem}-{stamp}{f'-{number}' if number > 1 else ''}.ipynb"
        try:
            with open(kept, "xb") as file:
                file.write(copy.read_bytes())
                file.flush()
                os.fsync(file.fileno())
            return kept
        except FileExistsError:
            number += 1


def _write(path: Path, content: bytes) -> None:
    """Write a file in one step: it is there whole, or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _committed(source: Path) -> bytes:
    """Return a file as git last committed it."""
    # Only to read: root may do so in a tree of another user, which git refuses by itself.
    command: Sequence[str] = [
        "git",
        "-c",
        "safe.directory=*",
        "-C",
        str(source.parent),
        "show",
        f"HEAD:./{source.name}",
    ]
    try:
        shown = subprocess.run(command, capture_output=True, check=False)
        if shown.returncode == 0:
            return shown.stdout
        why = shown.stderr.decode(errors="replace")
    except OSError as error:
        why = str(error)
    raise Missing(
        f"{source.name} is the only copy here: git has no other.",
        "take the lab by `git clone`, with git installed",
        why,
    )


def _read_ledger(folder: Path) -> dict[str, str]:
    try:
        read = json.loads((folder / _LEDGER).read_text(encoding="utf-8"))
        return {str(name): str(digest) for name, digest in read.items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
