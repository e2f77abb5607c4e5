# SPDX-License-Identifier: Apache-2.0
"""The learner's own file: what was solved, and what was predicted.

The file is `LABKIT_PROGRESS`, else `progress.json` in the data folder: one JSON object, each part of it under its own
name ("solved", "predictions"). A file that cannot be read counts as empty; `trouble` says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.errors import LabkitError
from labkit.machine.folders import data_folder, open_own
from labkit.running.interrupts import uninterrupted

__all__ = ["changed", "progress_file", "read", "trouble"]

_SPOILT = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def progress_file() -> Path:
    """Return the path of the learner's progress file (it need not exist)."""
    chosen = os.environ.get("LABKIT_PROGRESS")
    return Path(chosen) if chosen else data_folder() / "progress.json"


def read() -> dict[str, dict[str, Any]]:
    """Return the parts of the file that can be read; no part at all where it is missing, or damaged."""
    try:
        return _parts()
    except (OSError, LabkitError, *_SPOILT):
        return {}


def trouble() -> str:
    """Return why progress is not kept as it should be, with the fix, or an empty text when all is well."""
    try:
        with _locked(progress_file()) as path:
            if path.exists():
                _parts()["solved"].items()
    except (OSError, LabkitError) as error:
        return f"Your progress cannot be kept: {error}. Set LABKIT_PROGRESS to a file that can be written."
    except _SPOILT as error:
        return f"{progress_file()} is damaged ({error!r}) and counts as empty; the next right answer replaces it."
    return ""


@contextlib.contextmanager
def changed() -> Iterator[dict[str, dict[str, Any]]]:
    """Read the parts, let the caller change them, and write them; raise OSError where the file cannot be written.

    Two notebooks may write at once, and a kernel may die at any moment: a lock keeps the one from undoing the other,
    and the new file takes the place of the old one in a single step.
    """
    with _locked(progress_file()) as path:
        parts = read()
        yield parts
        # a new name: nobody can have put a link there
        descriptor, fresh = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps({"solved": {}, **parts}, indent=1) + "\n")
                os.fchmod(descriptor, 0o644)
            os.replace(fresh, path)
        except BaseException:
            os.unlink(fresh)
            raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Let nobody else change the file at `path` meanwhile; raise OSError where it could not be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    locks: list[int] = []
    try:
        with uninterrupted():  # or an interrupt leaves it open
            locks.append(open_own(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600))
        fcntl.flock(locks[0], fcntl.LOCK_EX)
        yield path
    finally:
        for lock in locks:
            os.close(lock)


@uninterrupted()
def _parts() -> dict[str, dict[str, Any]]:
    with open(open_own(progress_file()), encoding="utf-8") as file:
        kept = json.load(file)
    return {str(name): part for name, part in kept.items() if isinstance(part, dict) or name == "solved"}
