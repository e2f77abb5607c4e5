# SPDX-License-Identifier: Apache-2.0
"""The rows for people: a table with one line per row, the fixes, and one line that sums up."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from labkit.machine.doctor.catalogue import CATALOGUE
from labkit.machine.doctor.examination import lessons_status
from labkit.machine.doctor.rows import Capability

__all__ = ["as_text", "number_ranges", "summary"]

_LEAST_REASON = 24  # characters; in a narrower window lines are longer than the window
_WHOLE = 100  # characters per line of names, where the reasons are not cut
_NAMED = 3  # how many absent capabilities the summary names for a lesson


def as_text(rows: Sequence[Capability], width: int | None = None) -> str:
    """Return the table, the fixes of what is not ok, and the summary.

    Parameters
    ----------
    rows : what `examine()` returned.
    width : characters per line; reasons are cut to it. None for whole reasons.
    """
    lessons = {row.name: number_ranges(row.lessons) for row in rows}
    first = max((len(row.name) for row in rows), default=0)
    last = max((len(text) for text in lessons.values()), default=0)
    head = f"{'':{first}}  {'state':7}  {'lessons':{last}}  "
    lines = [f"{head}how it was found"]
    for row in rows:
        start = f"{row.name:{first}}  {row.state:7}  {lessons[row.name]:{last}}  "
        room = None if width is None else max(width - len(start), _LEAST_REASON)
        lines.append(start + _cut(row.reason, room))
    fixes: dict[str, list[Capability]] = {}
    for row in rows:
        if row.state != "ok":
            fixes.setdefault(row.fix, []).append(row)
    for fix, lacking in fixes.items():
        names = ", ".join(row.name for row in lacking)
        said = f"{names} {lacking[0].state}: {lacking[0].reason}" if len(lacking) == 1 else f"{names}:"
        lines += ["", textwrap.fill(said, width or _WHOLE), f"    {fix}"]
    return "\n".join([*lines, "", summary(rows)])


def summary(rows: Sequence[Capability]) -> str:
    """Return one line: which lessons run fully here, which in part and why, which are only shown as recordings."""
    status = lessons_status(rows)
    groups: dict[str, list[str]] = {}
    for lesson in status:
        if status[lesson] == "full":
            said = "run fully here"
        else:
            live = "in part" if status[lesson] == "partial" else "as a recording"
            said = f"{live} ({_lacking(rows, lesson, vital=status[lesson] == 'recorded only')})"
        groups.setdefault(said, []).append(lesson)
    return "Lessons: " + "; ".join(f"{number_ranges(lessons)} {said}" for said, lessons in groups.items()) + "."


def number_ranges(lessons: Sequence[str]) -> str:
    """Return lesson numbers, runs of them shortened: 00 01 02 05 -> "00-02 05"."""
    runs: list[list[str]] = []
    for lesson in sorted(lessons):
        if runs and int(lesson) == int(runs[-1][-1]) + 1:
            runs[-1].append(lesson)
        else:
            runs.append([lesson])
    return " ".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _lacking(rows: Sequence[Capability], lesson: str, vital: bool) -> str:
    """Name what a lesson lacks: the first few, and how many more."""
    needed = {entry.name for entry in CATALOGUE if lesson in (entry.vital if vital else entry.lessons)}
    lacking = [f"{row.name} {row.state}" for row in rows if row.state != "ok" and row.name in needed]
    more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    return ", ".join(lacking[:_NAMED]) + more


def _cut(text: str, room: int | None) -> str:
    return text if room is None or len(text) <= room else text[: room - 1] + "…"
