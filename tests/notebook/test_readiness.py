# SPDX-License-Identifier: Apache-2.0
"""The first cell of a lesson: one line when all is well, otherwise the rows that matter."""

from __future__ import annotations

import warnings

import pytest

from labkit.errors import BadArgument
from labkit.machine.doctor import Capability
from labkit.notebook import readiness
from labkit.running.lock import Waiting


def rows(*states: str) -> list[Capability]:
    made = []
    for number, state in enumerate(states):
        fix = "" if state == "ok" else f"fix {number} <now>"
        made.append(Capability(f"thing{number}", state, f"reason{number}", fix, ("01",)))  # type: ignore[arg-type]
    return made


def show(
    monkeypatch: pytest.MonkeyPatch, *states: str, lesson: str = "01", status: str = "partial"
) -> readiness.Readiness:
    monkeypatch.setattr(readiness, "examine", lambda lesson=None: rows(*states))
    monkeypatch.setattr(readiness, "lessons_status", lambda rows: {lesson: status})
    return readiness.ready(lesson)


def test_all_well_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show(monkeypatch, "ok", "ok")
    assert shown.ok and len(shown.text.splitlines()) == 1 and "2 things" in shown.text


def test_only_what_lacks_is_listed_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show(monkeypatch, "ok", "missing", "refused")
    assert not shown.ok
    for text in (shown.text, shown.html):
        assert "thing0" not in text and "thing1" in text and "reason2" in text and "missing" in text
    assert "Fix: fix 1 <now>" in shown.text and "The rest of the lesson is live" in shown.text
    assert "<code>fix 1 &lt;now&gt;</code>" in shown.html


def test_recordings_are_promised_only_by_a_lesson_that_has_some(monkeypatch: pytest.MonkeyPatch) -> None:
    for lesson in ("00", "05", "07", "08", "09", "10"):
        assert "shows recordings" in show(monkeypatch, "missing", lesson=lesson, status="recorded only").text
    for lesson in ("01", "03"):
        said = show(monkeypatch, "missing", lesson=lesson, status="recorded only").text
        assert "recordings" not in said and "say in two lines why they cannot run" in said


def test_an_unknown_lesson_is_told_with_those_there_are() -> None:
    with pytest.raises(BadArgument, match="lesson='77'"):
        readiness.ready("77")


def test_the_whole_table_has_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "examine", lambda lesson=None: rows("ok", "missing"))
    assert readiness.doctor().text.count("thing") == 2
    assert not readiness.doctor().ok


def test_waiting_for_another_measurement_is_a_plain_line_and_no_red_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: usual.append(str(message)))
    for _ in "ab":
        show(monkeypatch, "ok")
    shown = warnings.showwarning
    shown(Waiting("Waiting for lesson 01 to end."), Waiting, "lock.py", 1)
    shown(UserWarning("something else"), UserWarning, "lock.py", 1)
    assert capsys.readouterr().out == "Waiting for lesson 01 to end.\n"
    assert usual == ["something else"]
