# SPDX-License-Identifier: Apache-2.0
"""From one line per test to one table: kernel x lesson."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from labkit.machine.folders import repo_folder

__all__ = ["SWITCHED_OFF", "as_markdown", "as_text", "lesson_of", "put_between", "read_report", "settled", "summarise"]

SWITCHED_OFF = "the machine was switched off, or Python crashed, during this test"
START, END = "<!-- kernels: `make test-kernels` writes this -->", "<!-- /kernels -->"


# What a lesson shows, tested in another folder than its experiment.
_OF_LESSON = {"verifier/test_explain.py": "verifier", "usdt/test_tracer.py": "usdt", "machine/test_doctor.py": "start"}


def lesson_of(path: Path) -> str:
    """Return whose test a file is: "01 hello" for the files of a lesson, else the folder, such as "engine"."""
    place = f"{path.parent.name}/{path.name}"
    if "lessons" not in path.parts[:-2] and place not in _OF_LESSON:
        return path.parts[path.parts.index("tests") + 1] if "tests" in path.parts else path.parent.name
    stem = _OF_LESSON.get(place) or path.parent.name
    lessons = {name.stem[3:].replace("-", "_"): name.stem[:2] for name in _notebooks()}
    for lesson in sorted(lessons, key=len, reverse=True):
        if stem == lesson or stem.startswith(f"{lesson}_"):
            return f"{lessons[lesson]} {lesson}"
    return stem


def _notebooks() -> Iterable[Path]:
    return (repo_folder() / "notebooks").glob("[0-9][0-9]-*.ipynb")


def read_report(file: Path) -> list[dict[str, Any]]:
    """Return the lines that a run has told; a machine that was switched off may have cut the last."""
    entries = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return entries


def settled(entries: Iterable[Mapping[str, Any]], no_time: str) -> list[Mapping[str, Any]]:
    """Return the lines of those tests that need not be run again: they passed, or cannot run there."""
    failed = {entry["test"] for entry in entries if entry.get("outcome") == "failed"}
    return [
        entry
        for entry in entries
        if "test" in entry
        and entry["test"] not in failed
        and (entry["outcome"], entry["reason"]) != ("skipped", no_time)
    ]


def summarise(entries: Iterable[Mapping[str, Any]], *, no_time: str) -> dict[str, dict[str, Any]]:
    """Return lesson -> passed, failed, skipped, not_run, the reasons of those skipped and the names of those failed."""
    outcome: dict[str, tuple[str, str]] = {}
    for entry in entries:
        if "started" in entry:
            outcome[entry["started"]] = ("failed", SWITCHED_OFF)
        elif "test" in entry:
            told = "not_run" if (entry["outcome"], entry["reason"]) == ("skipped", no_time) else entry["outcome"]
            # A test that passes and then fails in its teardown has failed.
            if outcome.get(entry["test"], ("", ""))[0] != "failed" or outcome[entry["test"]][1] == SWITCHED_OFF:
                outcome[entry["test"]] = (told, entry["reason"])
    lessons: dict[str, dict[str, Any]] = {}
    for test, (told, reason) in sorted(outcome.items()):
        lesson = lesson_of(repo_folder() / test.partition("::")[0])
        row = lessons.setdefault(
            lesson, {"passed": 0, "failed": 0, "skipped": 0, "not_run": 0, "failures": [], "reasons": []}
        )
        row[told] += 1
        if told == "failed":
            row["failures"].append({"test": test, "reason": reason})
        elif told == "skipped":
            row["reasons"].append(reason)
    return dict(sorted(lessons.items()))


def verdict(row: Mapping[str, Any] | None) -> str:
    """Return a cell of the table, such as "passed (25)" or "not possible here (there is no BTF)"."""
    if row is None:
        return "not run"
    others = [f"{row['skipped']} not possible here: {_commonest(row['reasons'])}"] if row["skipped"] else []
    if row["not_run"]:
        others.append(f"{row['not_run']} not tried")
    if row["failed"]:
        names = ", ".join(failure["test"].rpartition("::")[2] for failure in row["failures"])
        return f"failed ({row['failed']} of {row['failed'] + row['passed']}: {names})"
    if row["passed"]:
        return "; ".join([f"passed ({row['passed']})", *others])
    return f"not possible here ({_commonest(row['reasons'])})" if row["skipped"] else "not tried"


def _commonest(reasons: Iterable[str]) -> str:
    """Return the commonest reason, without the advice that may follow it, for a cell of a Markdown table."""
    reason = Counter(reasons).most_common(1)[0][0].partition("Fix:")[0]
    return re.sub(r"(?<!\S)(--[\w-]+)", r"`\1`", re.sub(r"\s+", " ", reason).strip())


def _cells(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    lessons = sorted({lesson for result in results.values() for lesson in result["lessons"]})
    header = ["", *(f"{series} ({result['release']}; {result['day']})" for series, result in results.items())]
    rows = [[lesson, *(verdict(result["lessons"].get(lesson)) for result in results.values())] for lesson in lessons]
    return [header, *rows]


def as_text(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table for a terminal; `results` is what docs/kernels.json holds."""
    cells = _cells(results)
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def as_markdown(results: Mapping[str, Mapping[str, Any]]) -> str:
    header, *rows = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in _cells(results)]
    return "\n".join([f"| {header} |", "|---" * (len(results) + 1) + "|", *(f"| {row} |" for row in rows)])


def put_between(text: str, table: str) -> str:
    """Return a page with the table between its two markers; a page without them unchanged."""
    if START not in text or END not in text:
        return text
    before, _, rest = text.partition(START)
    return f"{before}{START}\n\n{table}\n\n{END}{rest.partition(END)[2]}"
