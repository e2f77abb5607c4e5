# SPDX-License-Identifier: Apache-2.0
"""What the doctor makes of its findings: the table, the sums, the errors. No kernel is needed for these."""

from __future__ import annotations

import importlib
import json
import os
import re
from pathlib import Path

import pytest

from labkit import cli
from labkit.course import EVERYBODY, LESSONS, NUMBERS
from labkit.errors import BadArgument
from labkit.machine import doctor
from labkit.machine.doctor import Capability, as_text, lessons_status, summary
from labkit.machine.doctor.catalogue import CATALOGUE, Entry
from labkit.machine.doctor.elf import bpf_object, usdt_notes
from labkit.machine.doctor.rows import Finding, from_error, missing, ok
from labkit.machine.doctor.text import number_ranges

examination = importlib.import_module("labkit.machine.doctor.examination")


def rows_with(**states: str) -> list[Capability]:
    """Return the whole table, all ok but for the given names."""
    return [
        Capability(entry.name, states.get(entry.name, "ok"), "reason", "", entry.lessons)  # type: ignore[arg-type]
        for entry in CATALOGUE
    ]


def test_names_are_unique_and_plain() -> None:
    assert len(set(doctor.NAMES)) == len(doctor.NAMES)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in doctor.NAMES)


def test_every_lesson_is_used_and_what_is_vital_is_used() -> None:
    for entry in CATALOGUE:
        assert entry.lessons and set(entry.lessons) <= set(NUMBERS)
        assert set(entry.vital) <= set(entry.lessons), entry.name
    assert {lesson for entry in CATALOGUE for lesson in entry.lessons} == set(NUMBERS)


def test_the_course_names_only_capabilities_that_the_doctor_knows() -> None:
    named = {name for lesson in LESSONS for name in (lesson.vital + " " + lesson.uses).split()} | set(EVERYBODY)
    assert named <= set(doctor.NAMES)


def test_every_probe_says_what_it_does() -> None:
    assert all(entry.probe.__doc__ for entry in CATALOGUE)


def test_all_ok_means_all_lessons_run_fully() -> None:
    assert set(lessons_status(rows_with()).values()) == {"full"}
    assert summary(rows_with()) == f"Lessons: 00-{NUMBERS[-1]} run fully here."


def test_what_is_vital_to_a_lesson_makes_it_a_recording() -> None:
    status = lessons_status(rows_with(sockmap="missing", kprobes="missing"))
    assert (status["09"], status["04"], status["05"]) == ("recorded only", "partial", "full")


def test_the_summary_names_the_causes() -> None:
    text = summary(rows_with(sockmap="missing", kprobes="missing", fentry="refused"))
    assert "04 in part (kprobes missing, fentry refused)" in text
    assert "09 as a recording (sockmap missing)" in text
    assert "\n" not in text


def test_after_one_lesson_only_that_lesson_is_summed_up() -> None:
    rows = [row for row in rows_with() if "05" in row.lessons]
    assert list(lessons_status(rows)) == ["05"]


@pytest.mark.parametrize("width", [60, 90, 200])
def test_the_table_keeps_to_the_width(width: int) -> None:
    rows = [Capability("kprobes", "missing", "long " * 100, "fix", ("04",)), *rows_with()[1:3]]
    table = as_text(rows, width).split("\n\n")[0]
    assert [len(line) <= width for line in table.splitlines()] == [True] * 4


def test_the_whole_reason_of_what_is_not_ok_is_readable_in_any_width() -> None:
    rows = [Capability("kprobes", "missing", "a reason with many words " * 9, "the fix", ("04",))]
    text = " ".join(as_text(rows, 60).split("\n\n", 1)[1].split())
    assert ("a reason with many words " * 9).strip() in text


def test_one_fix_is_printed_once_for_all_that_it_fixes() -> None:
    rows = [Capability(name, "refused", "why", "sudo it", ("04",)) for name in ("kprobes", "uprobes")]
    assert as_text(rows).count("sudo it") == 1
    assert "kprobes, uprobes:\n    sudo it\n" in as_text(rows)


def test_number_ranges() -> None:
    assert number_ranges(("00", "01", "02", "05", "07", "08")) == "00-02 05 07-08"


@pytest.mark.parametrize("error", [ValueError("odd"), ZeroDivisionError("by zero"), KeyError("gone")])
def test_a_probe_that_crashes_becomes_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def crash() -> Finding:
        raise error

    monkeypatch.setattr(examination, "CATALOGUE", (Entry("kernel", crash, ("00",)),))
    (row,) = doctor.examine()
    assert row.state == "missing"
    assert "the doctor's own probe failed" in row.reason and type(error).__name__ in row.reason
    assert row.fix


def test_a_hanging_tool_becomes_a_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from labkit.machine.doctor import software

    tool = tmp_path / "strace"
    tool.write_text("#!/bin/sh\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + ":" + os.environ["PATH"])
    monkeypatch.setattr(software, "_TIMEOUT_S", 0.2)
    found = software.tool("strace", ["--version"])()
    assert found.state == "missing" and "does not run" in found.reason


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (PermissionError(1, "no", "a step"), "refused"),
        (PermissionError(13, "no", "a step"), "refused"),
        (OSError(22, "bad", "a step"), "missing"),
        (OSError(38, "none", "a step"), "missing"),
    ],
)
def test_the_kernels_errors_are_told_apart(error: OSError, state: str) -> None:
    found = from_error(error)
    assert found.state == state
    assert found.reason.startswith("a step: ") and found.fix


def test_an_unknown_lesson_is_named() -> None:
    with pytest.raises(BadArgument, match="lesson='4' is not known"):
        doctor.examine("4")


def test_only_the_lessons_rows_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> Finding:
        raise AssertionError("tried")

    table = (Entry("kernel", lambda: ok("here"), ("00", "05")), Entry("bpf", never, ("00",)))
    monkeypatch.setattr(examination, "CATALOGUE", table)
    assert [row.name for row in doctor.examine("05")] == ["kernel"]


# -- the command --------------------------------------------------------------------------------------


def test_json_has_the_agreed_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--json", "--lesson", "05"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"kernel", "capabilities"} and told["kernel"] == os.uname().release
    for row in told["capabilities"]:
        assert set(row) == {"name", "state", "reason", "fix", "lessons"}
        assert row["state"] in ("ok", "missing", "refused") and "05" in row["lessons"]
        assert bool(row["fix"]) == (row["state"] != "ok") and row["reason"]
        assert "\n" not in row["reason"] + row["fix"]


@pytest.mark.parametrize(("options", "status"), [([], 0), (["--strict"], 1)])
def test_only_strict_makes_a_missing_row_a_failure(
    monkeypatch: pytest.MonkeyPatch, options: list[str], status: int
) -> None:
    monkeypatch.setattr(examination, "CATALOGUE", (Entry("kernel", lambda: missing("gone", "fetch"), ("00",)),))
    assert cli.main(["doctor", *options]) == status


def test_a_wrong_lesson_is_two_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--lesson", "99"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "labkit: lesson='99' is not known.",
        f"Fix: pass lesson as one of: {', '.join(NUMBERS)}",
    ]


# -- ELF ----------------------------------------------------------------------------------------------


def test_readelf_finds_nothing_wrong_with_a_tiny_object(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "tiny.o").write_bytes(bpf_object("tp/syscalls/sys_enter_getppid", "tiny", bytes(16)))
    read = subprocess.run(["readelf", "-aW", str(tmp_path / "tiny.o")], capture_output=True, text=True, check=True)
    assert read.stderr == ""
    assert re.search(r"Machine:\s+Linux BPF", read.stdout) and "tp/syscalls/sys_enter_getppid" in read.stdout
    assert re.search(r"FUNC\s+GLOBAL\s+DEFAULT\s+1 tiny", read.stdout)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF\1\1" + bytes(58)])
def test_a_file_that_is_no_elf_has_no_probes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert usdt_notes(tmp_path / "file") == []
