# SPDX-License-Identifier: Apache-2.0
"""Which exercises the learner has solved: the part "solved" of the learner's own file.

`{"solved": {"01-q1": "2031-05-06T12:00:00+00:00"}}`: question -> time at which it was first solved.
"""

from __future__ import annotations

from datetime import UTC, datetime

from labkit.notebook.own_file import changed, progress_file, read, trouble

__all__ = ["progress_file", "remember", "solved", "trouble"]


def solved() -> dict[str, str]:
    """Return question -> time at which it was first solved."""
    kept = read().get("solved")
    return {str(question): str(when) for question, when in kept.items()} if isinstance(kept, dict) else {}


def remember(question: str) -> None:
    """Add `question` to the solved ones; raise OSError where the file cannot be written."""
    with changed() as parts:
        known = parts.get("solved")
        parts["solved"] = known if isinstance(known, dict) else {}
        parts["solved"].setdefault(question, datetime.now(UTC).isoformat(timespec="seconds"))
