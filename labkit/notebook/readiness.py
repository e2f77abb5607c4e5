# SPDX-License-Identifier: Apache-2.0
"""What this machine can do of a lesson: `labkit.ready("01")`, the first cell of each lesson.

One line when all is well; else the rows that matter, each with its fix.
"""

from __future__ import annotations

import platform
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from labkit.machine.doctor import Capability, examine, lessons_status, summary
from labkit.notebook.recorded import has_recordings
from labkit.notebook.render import Rendered, box, html_table
from labkit.running.lock import Waiting

__all__ = ["Readiness", "doctor", "ready"]


HEADS = ("what", "state", "why", "fix", "lessons")
REST = {
    "full": "",
    "partial": "The rest of the lesson is live. Where it uses another mechanism, it says so.",
    "recorded only": "So the lesson shows recordings from another machine.",
}
UNRECORDED = "So its cells say in two lines why they cannot run."  # of a lesson that has no recordings


@dataclass(frozen=True, repr=False)
class Readiness(Rendered):
    """What to show of the capabilities, and `ok`: whether all of them work."""

    ok: bool = False


def ready(lesson: str) -> Readiness:
    """Return which of the things that a lesson ("01") needs this machine lacks; one line if it lacks none."""
    _show_waiting_plainly()
    rows = examine(lesson=lesson)
    lacking = [row for row in rows if row.state != "ok"]
    where = f"kernel {platform.release()}, {platform.machine()}"
    if not lacking:
        line = f"Ready: this machine has all {len(rows)} things that lesson {lesson} needs ({where})."
        return Readiness(line, box("ok", escape(line)), ok=True)
    line = f"Lesson {lesson}: {len(lacking)} of {len(rows)} things are missing or refused here ({where})."
    status = lessons_status(rows)[lesson]
    line += " " + (UNRECORDED if status == "recorded only" and not has_recordings(lesson) else REST[status])
    text = "\n".join([line, *(_row_text(row) for row in lacking)])
    return Readiness(text, box("warning", f"{escape(line)}{_html(lacking)}"), ok=False)


def doctor() -> Readiness:
    """Return every capability that the lab knows, with its state, reason, fix and lessons."""
    rows = examine()
    lacking = [row for row in rows if row.state != "ok"]
    fine = [row for row in rows if row.state == "ok"]
    said = summary(rows)
    html = box("warning" if lacking else "ok", escape(said) + (_html(lacking) if lacking else ""))
    html += f"<details><summary>The {len(fine)} things that work</summary>{_html(fine)}</details>"
    return Readiness("\n".join([*map(_row_text, [*lacking, *fine]), said]), html, ok=not lacking)


def _row_text(row: Capability) -> str:
    line = f"{row.state:<8} {row.name}: {row.reason}"
    return line if row.state == "ok" or not row.fix else f"{line}\n         Fix: {row.fix}"


def _html(rows: Sequence[Capability]) -> str:
    signs = {"ok": "✓ ok", "missing": "✗ missing", "refused": "✗ refused"}
    cells = [
        [
            escape(row.name),
            escape(signs.get(row.state, row.state)),
            escape(row.reason),
            f"<code>{escape(row.fix)}</code>" if row.fix and row.state != "ok" else "",
            escape(", ".join(row.lessons)),
        ]
        for row in rows
    ]
    return html_table(HEADS, cells, ["", "text-align: left; white-space: nowrap;", "", "", ""])


def _show_waiting_plainly() -> None:
    """Show that a measurement waits for another as a plain line: Jupyter shows warnings in red, with a line of code."""
    usual = warnings.showwarning
    if getattr(usual, "shows_waiting_plainly", False):
        return

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, Waiting):
            print(message, flush=True)
        else:
            usual(message, category, *rest, **more)

    show.shows_waiting_plainly = True  # type: ignore[attr-defined]
    warnings.showwarning = show
