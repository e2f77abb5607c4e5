# SPDX-License-Identifier: Apache-2.0
"""What the emulated machine told becomes one cell per lesson, also when it was switched off in the middle."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from kernels.__main__ import DESELECTED, chosen, report
from kernels.table import END, START, as_markdown, as_text, lesson_of, put_between, read_report, summarise, verdict
from tree import ROOT

HELLO = "tests/lessons/hello/test_measure.py"


def told(test: str, outcome: str = "passed", reason: str = "") -> dict[str, Any]:
    return {"test": f"{HELLO}::{test}", "outcome": outcome, "seconds": 1.0, "reason": reason}


def row(*entries: dict[str, Any]) -> dict[str, Any]:
    return summarise(entries, no_time="no time")["01 hello"]


@pytest.mark.parametrize(
    ("file", "lesson"),
    [
        (HELLO, "01 hello"),
        ("tests/lessons/hello/test_more.py", "01 hello"),
        ("tests/lessons/nothing_known/test_measure.py", "nothing_known"),
        ("tests/bpf/usdt/test_operands.py", "bpf"),
        ("tests/machine/test_doctor.py", "00 start"),
        ("tests/machine/test_headers.py", "machine"),
    ],
)
def test_a_file_belongs_to_a_lesson_or_to_its_folder(file: str, lesson: str) -> None:
    assert lesson_of(ROOT / file) == lesson


def test_passed_tests_are_counted() -> None:
    assert verdict(row(told("a"), told("b"))) == "passed (2)"


def test_one_failure_makes_the_lesson_fail_by_name() -> None:
    assert verdict(row(told("a"), told("b", "failed", "assert 22 == 23"))) == "failed (1 of 2: b)"


def test_a_test_that_leaves_something_behind_has_failed() -> None:
    assert verdict(row(told("a", "failed", "assert"), told("a"))).startswith("failed")


def test_the_test_during_which_the_machine_was_switched_off_has_failed() -> None:
    assert verdict(row(told("a"), {"started": f"{HELLO}::b"})) == "failed (1 of 2: b)"


def test_a_started_test_that_ended_counts_once() -> None:
    assert verdict(row({"started": f"{HELLO}::a"}, told("a"))) == "passed (1)"


def test_a_lesson_of_which_all_skips_is_not_possible_with_the_reason() -> None:
    assert verdict(row(told("a", "skipped", "there is no BTF"))) == "not possible here (there is no BTF)"
    advised = "it has no rings:\n use --way uring\nFix: see `labkit doctor`\nmore"
    assert verdict(row(told("a", "skipped", advised))) == "not possible here (it has no rings: use `--way` uring)"


def test_what_was_not_reached_is_never_told_as_passed() -> None:
    assert verdict(row(told("a"), told("b", "skipped", "no time"))) == "passed (1); 1 not tried"
    assert verdict(row(told("b", "skipped", "no time"))) == "not tried"
    assert verdict(None) == "not run"


def test_a_report_that_was_cut_is_read_up_to_the_cut(tmp_path: Path) -> None:
    file = tmp_path / "report.jsonl"
    file.write_text(json.dumps(told("a")) + '\n{"test": "tests/exp')
    assert read_report(file) == [told("a")]
    assert read_report(tmp_path / "none") == []


@pytest.fixture
def results() -> dict[str, Any]:
    lessons = summarise([told("a")], no_time="")
    return {
        "6.1": {"release": "6.1.0", "day": "2030-01-01", "lessons": lessons},
        "6.12": {"release": "6.12.3", "day": "2030-01-02", "lessons": {}},
    }


def test_the_table_is_kernel_by_lesson(results: dict[str, Any]) -> None:
    header, line = as_text(results).splitlines()
    assert re.split("  +", header.strip()) == ["6.1 (6.1.0; 2030-01-01)", "6.12 (6.12.3; 2030-01-02)"]
    assert re.split("  +", line) == ["01 hello", "passed (1)", "not run"]
    assert as_markdown(results).splitlines()[-1] == "| 01 hello | passed (1) | not run |"


def test_a_kernel_on_which_nothing_ran_is_a_failure(results: dict[str, Any]) -> None:
    assert report({"6.1": results["6.1"]}) == 0
    assert report(results) == 1


def test_the_table_takes_the_place_of_the_last_one() -> None:
    page = f"before\n{START}\nold\n{END}\nafter"
    assert put_between(page, "new") == f"before\n{START}\n\nnew\n\n{END}\nafter"
    assert put_between("no markers", "new") == "no markers"


def test_the_page_has_the_markers() -> None:
    assert put_between((ROOT / "docs/kernels.md").read_text(), "a new table").count("a new table") == 1


def test_the_chosen_files_face_the_kernel_and_the_rest_exist() -> None:
    assert HELLO in chosen() and "tests/machine/test_doctor.py" in chosen()
    assert [file for file in DESELECTED if not (ROOT / file).exists()] == []


def test_the_page_shows_what_the_file_holds() -> None:
    known = json.loads((ROOT / "docs/kernels.json").read_text())
    page = (ROOT / "docs/kernels.md").read_text()
    assert put_between(page, as_markdown(known)) == page
