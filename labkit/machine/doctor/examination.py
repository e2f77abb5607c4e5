# SPDX-License-Identifier: Apache-2.0
"""Ask the questions of the table, and sum the answers up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from labkit.course import NUMBERS
from labkit.errors import LabkitError, check_choice
from labkit.machine.doctor.catalogue import CATALOGUE, Entry
from labkit.machine.doctor.programs import quiet
from labkit.machine.doctor.rows import Capability, Finding, from_error, from_lab_error, missing

__all__ = ["NAMES", "as_dict", "examine", "lessons_status"]

NAMES = tuple(entry.name for entry in CATALOGUE)
Status = Literal["full", "partial", "recorded only"]


def examine(lesson: str | None = None) -> list[Capability]:
    """Try everything that the lessons need, and return one row for each.

    Whatever a probe makes (programs, maps, a cgroup, a file) is gone when this returns. A probe that fails in a way
    nobody thought of becomes a row that says so; nothing is raised.

    Parameters
    ----------
    lesson : "00" … "10", to try only what that lesson uses; None for everything.

    Raises
    ------
    BadArgument : there is no such lesson.
    """
    if lesson is not None:
        check_choice("lesson", lesson, NUMBERS)
    with quiet():
        return [_row(entry) for entry in CATALOGUE if lesson is None or lesson in entry.lessons]


def lessons_status(rows: Sequence[Capability]) -> dict[str, Status]:
    """Say of each lesson how much of it is live on this machine.

    Parameters
    ----------
    rows : what `examine()` returned. After `examine("05")` lesson 05 is reported, and others only if all that they use
        was tried too.

    Returns
    -------
    lesson -> "full"; "partial", when something it uses is absent; "recorded only", when it can show nothing live.
    """
    tried = {row.name for row in rows}
    bad = {row.name for row in rows if row.state != "ok"}
    status: dict[str, Status] = {}
    for lesson in NUMBERS:
        if not {entry.name for entry in CATALOGUE if lesson in entry.lessons} <= tried:
            continue
        if any(entry.name in bad and lesson in entry.vital for entry in CATALOGUE):
            status[lesson] = "recorded only"
        elif any(entry.name in bad and lesson in entry.lessons for entry in CATALOGUE):
            status[lesson] = "partial"
        else:
            status[lesson] = "full"
    return status


def as_dict(rows: Sequence[Capability], kernel: str) -> dict[str, Any]:
    """Return the rows as `labkit doctor --json` prints them."""
    return {"kernel": kernel, "capabilities": [{**asdict(row), "lessons": list(row.lessons)} for row in rows]}


def _row(entry: Entry) -> Capability:
    found = _probe(entry)
    return Capability(entry.name, found.state, found.reason, found.fix, entry.lessons)


def _probe(entry: Entry) -> Finding:
    try:
        return entry.probe()
    except LabkitError as error:
        return from_lab_error(error)
    except OSError as error:
        return from_error(error)
    except Exception as error:  # a row that says so is more use than no table
        why = f"the doctor's own probe failed: {type(error).__name__}: {error}"
        return missing(why, "labkit doctor --json  # please report this with what it prints")
