# SPDX-License-Identifier: Apache-2.0
"""Files are small, nothing is written twice, and a name means one thing."""

from __future__ import annotations

import pkgutil
import re
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from tree import ROOT, named, short

from labkit.course import LESSONS

MOST_LINES = 400
RUN = 6  # lines
PYTHON = [*named(".py", under="labkit"), *named(".py", under="bench"), *named(".py", ".sh", under="scripts")]
WORKLOADS = [*named(".c", ".cc", ".h", under="c/workloads"), *named(".c", under="c/lib")]
# BPF programs are not among them: a learner reads each by itself, so each filters, reserves and counts in full
ONCE = [*PYTHON, *WORKLOADS]
PRODUCT = [*ONCE, *named(".c", ".h", under="c/bpf")]
# in many files by nature: imports, licence, brackets, conditions of the preprocessor, parameters of a function
_PLAIN = re.compile(
    r"(from|import|#include|#ifdef|#endif|#else|/\* SPDX|// SPDX|# SPDX)\b|[\W_]*$|\w+: [\w\[\], |.]+( = [\w.()]+)?,$"
)
_IMPORT = re.compile(r"^from [\w.]+ import \([^)]*\)", re.MULTILINE)


@pytest.mark.parametrize("path", [*PRODUCT, *named(".sh")], ids=short)
def test_a_file_is_at_most_400_lines_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def lines_of(path: Path) -> list[tuple[int, str]]:
    """Return the lines that count, with their numbers: no blank ones, no imports, no lone brackets."""
    text = re.sub(
        r"^from [\w.]+ import \([^)]*\)", lambda found: "\n" * found[0].count("\n"), path.read_text(), flags=re.M
    )
    lines = ((number, " ".join(line.split())) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in lines if not _PLAIN.match(line)]


def test_no_run_of_six_lines_is_written_twice() -> None:
    places: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path in ONCE:
        lines = lines_of(path)
        for first in range(len(lines) - RUN + 1):
            run = lines[first : first + RUN]
            places[tuple(line for _, line in run)].append(f"{short(path)}:{run[0][0]}")
    assert [where for where in places.values() if len(where) > 1] == []


def test_the_tags_of_a_table_are_written_in_one_file() -> None:
    assert [short(path) for path in PYTHON if re.search(r"<(table|td|th)\b", path.read_text())] == [
        "labkit/notebook/markup.py"
    ]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_what_a_lesson_offers_hides_none_of_its_modules(lesson: object) -> None:
    package = import_module(f"labkit.lessons.{lesson.stem}")  # type: ignore[attr-defined]
    modules = {found.name for found in pkgutil.iter_modules(package.__path__)}
    hidden = [name for name in modules if not isinstance(getattr(package, name, package), ModuleType)]
    assert hidden == []


@pytest.mark.parametrize("path", named(".py", ".sh"), ids=short)
def test_every_file_names_its_licence(path: Path) -> None:
    assert "SPDX-License-Identifier: Apache-2.0" in "\n".join(path.read_text().splitlines()[:3])


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "labkit/py.typed").exists()
