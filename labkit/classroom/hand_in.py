# SPDX-License-Identifier: Apache-2.0
"""`labkit hand-in NAME`: one archive with a learner's notebooks, progress, predictions and a few measured frames.

Nothing is measured or executed. The archive is written under another name first, and takes its name when it is whole.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import tarfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from labkit.classroom.archive import MANIFEST, MOST_FILE_BYTES, learner_name
from labkit.classroom.steps import code_of
from labkit.course import LESSONS
from labkit.errors import LabkitError
from labkit.machine.copies import learner_folder
from labkit.machine.provenance import provenance
from labkit.notebook import solved
from labkit.notebook.kept_frames import FRAMES, kept_folder

__all__ = ["HandedIn", "hand_in"]


@dataclass(frozen=True)
class HandedIn:
    """An archive that was made: its path, how many files and solved exercises it has, its SHA-256."""

    path: Path
    files: int
    solved: int
    sha256: str


def hand_in(name: str, to: Path | None = None) -> HandedIn:
    """Write NAME.tar.gz into the folder `to`, the current one if None; an older one of the same name is replaced.

    Raises
    ------
    LabkitError : nothing is solved, a notebook is damaged, or the archive cannot be written.
    """
    learner = learner_name(name)
    done = solved.solved()
    if not done:
        why = solved.trouble() or "No exercise is solved yet, so there is nothing to hand in."
        raise LabkitError(why, "solve an exercise: its check must say that it is right")
    files = _files()
    listed = {
        inside: {"sha256": hashlib.sha256(held).hexdigest(), "bytes": len(held)} for inside, held in files.items()
    }
    facts = {
        "format": 1,
        "learner": name,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": provenance(),
        "files": listed,
    }
    manifest = json.dumps(facts, indent=1, default=str).encode()
    folder = to or Path.cwd()
    path = folder / f"{learner.replace(' ', '-')}.tar.gz"
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with tarfile.open(fresh, "x:gz") as archive:
            for inside, held in {MANIFEST: manifest, **files}.items():
                member = tarfile.TarInfo(inside)
                member.size, member.mtime, member.mode = len(held), int(time.time()), 0o644
                archive.addfile(member, io.BytesIO(held))
        digest = hashlib.sha256(fresh.read_bytes()).hexdigest()
        os.replace(fresh, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LabkitError(
                f"The disk of {folder} is full.", "free some space, or choose another: --to FOLDER"
            ) from None
        raise LabkitError(
            f"{path} cannot be written: {error.strerror}.", "choose another folder: --to FOLDER"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()
    return HandedIn(path, len(files), len(done), digest)


def _files() -> dict[str, bytes]:
    """Return what goes in: name in the archive -> content."""
    found: dict[str, bytes] = {}
    for lesson in LESSONS:
        path = learner_folder() / lesson.notebook
        if path.is_file():
            code_of(path)  # says what is wrong with a damaged one
            found[f"notebooks/{path.name}"] = path.read_bytes()
    progress = solved.progress_file()
    others = {"progress.json": progress, "predictions.json": progress.with_name("predictions.json")}
    for frame in FRAMES:
        for suffix in (".csv", ".json"):
            others[f"frames/{frame.key}{suffix}"] = kept_folder() / f"{frame.key}{suffix}"
    for inside, path in others.items():
        if path.is_file() and path.stat().st_size <= MOST_FILE_BYTES:
            found[inside] = path.read_bytes()
    return found
