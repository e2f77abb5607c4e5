# SPDX-License-Identifier: Apache-2.0
"""README leads somewhere: its links, its picture, its commands, its map of the lessons."""

from __future__ import annotations

import re

from tree import ROOT

from labkit.course import LESSONS
from labkit.machine.doctor import NAMES

README = (ROOT / "README.md").read_text()
MOST_BYTES = 200_000


def test_links_within_the_tree_lead_somewhere() -> None:
    local = [link for link in re.findall(r"\]\(([^)#\s]+)", README) if "://" not in link]
    assert local and [link for link in local if not (ROOT / link).exists()] == []


def test_pictures_are_small_and_have_words() -> None:
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README)
    assert pictures
    for words, path in pictures:
        assert len(words) > 20
        assert (ROOT / path).stat().st_size < MOST_BYTES


def test_the_map_is_the_table_of_the_course() -> None:
    rows = re.findall(r"^\| (\d\d) \| (.+?) \| (.+?) \| (\d+) \|", README, re.MULTILINE)
    assert rows == [(each.number, each.short, each.learns, str(each.minutes)) for each in LESSONS]


def kernels_of(table: str) -> dict[str, dict[str, str]]:
    """Return lesson -> kernel -> cell, of a table whose header names kernels."""
    header, *rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    series = [re.match(r" (\d+\.\d+)\b", name) for name in header]
    return {
        row[0].split()[0]: {name[1]: cell.strip() for name, cell in zip(series, row, strict=True) if name}
        for row in rows
        if re.match(r" \d\d ", row[0])
    }


def in_short(cell: str) -> str:
    return "–" if "passed" not in cell else "part" if "not tried" in cell else "all"


def test_a_lesson_names_the_kernels_on_which_its_tests_passed() -> None:
    named = kernels_of(README[README.index("| | lesson |") :].partition("\n\n")[0])
    tried = kernels_of((ROOT / "docs/kernels.md").read_text())
    for lesson, cells in named.items():
        if lesson not in tried and set(cells.values()) == {"–"}:  # a new lesson
            continue
        assert cells.pop("6.18") == "all"
        for kernel, cell in cells.items():
            if kernel in tried["01"]:
                assert cell == in_short(tried.get(lesson, {}).get(kernel, "")), (lesson, kernel)
            else:  # of other kernels the page has a sentence, about lesson 01 alone
                assert cell == ("all" if lesson == "01" else "–"), (lesson, kernel)


def test_the_commands_are_there() -> None:
    named = set(
        re.findall(r"\bmake ([a-z-]+)(?=[ `\n])", "\n".join(re.findall(r"```.*?```|`[^`]+`", README, re.DOTALL)))
    )
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"lab", "lessons"} <= named <= targets
    scripts = set(re.findall(r"\bscripts/[\w-]+\.sh", README))
    assert [script for script in scripts if not (ROOT / script).exists()] == []


def test_the_doctors_rows_have_the_doctors_names() -> None:
    table = README.partition("| row | usually |")[2].partition("\n\n")[0]
    named = {
        name for line in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in re.findall(r"[a-z_0-9]+", line)
    }
    assert named - {"missing", "refused", "fallback", "or"} <= set(NAMES)
