# SPDX-License-Identifier: Apache-2.0
"""Lesson 10's panels on the running kernel."""

from __future__ import annotations

import pytest

from labkit.errors import BadArgument
from labkit.lessons import capstone
from labkit.lessons._redis import server
from labkit.notebook.panel.panel import Panel

pytestmark = [pytest.mark.bpf, pytest.mark.programs_kept]


def finished(made: Panel) -> Panel:
    made.run()
    made.wait(600)
    assert made._message.value == ""
    return made


def test_it_measures_several_journal_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_QUICK", "1")
    made = capstone.panel()
    made.controls["journal"].value = ("truncate", "wal")
    made.controls["transactions"].value = 11
    frame = finished(made).frame
    assert list(dict.fromkeys(frame["arm"])) == ["truncate/full", "wal/full", "truncate/full (again)"]
    assert frame.loc[(frame["call"] == "ftruncate") & (frame["file"] == "journal"), "count"].tolist() == [11, 11]
    assert "truncate/full: 5 syncs per transaction" in made._result.value
    assert "Storing a row takes " in made._result.value and ") as long the first way." in made._result.value


def test_a_single_way_is_told_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_QUICK", "1")
    made = capstone.panel()
    made.controls["journal"].value = ("delete",)
    made.controls["rows_per_transaction"].value = (4,)
    made.controls["transactions"].value = 11
    assert "delete/full with 4 rows at once: 4 syncs per transaction, which takes" in finished(made)._result.value


def test_no_journal_mode_is_an_error_in_words() -> None:
    made = capstone.panel()
    made.controls["journal"].value = ()
    made.run()
    made.wait(60)
    assert "Choose at least one: journal mode" in made._message.value


@pytest.mark.skipif(bool(server.why_not()), reason=server.why_not())
def test_it_measures_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_QUICK", "1")
    made = capstone.panel("Redis")
    made.controls["clients"].value = (1,)
    made.controls["pipeline"].value = (1,)
    made.controls["append_only"].value = ("always",)
    made.controls["requests"].value = 400
    assert "1 client with pipeline 1 and sync always:" in finished(made)._result.value
    assert "and 1 syncs per request" in made._result.value


def test_a_subject_that_does_not_exist_is_refused_in_words() -> None:
    with pytest.raises(BadArgument, match="did you mean 'Redis'"):
        capstone.panel("redis")
