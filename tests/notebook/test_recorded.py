# SPDX-License-Identifier: Apache-2.0
"""A recording comes back as it was kept, and always says that it is one."""

from __future__ import annotations

import csv
import platform
from pathlib import Path

import pandas as pd
import pytest
from tree import ROOT

from labkit import schema
from labkit.errors import BadArgument, Missing
from labkit.notebook import recorded as module
from labkit.notebook.recorded import MARK, measured, recorded, save_recording

KEPT = sorted((ROOT / "notebooks/recorded").glob("*.csv"))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, object]]:
    calls: list[tuple[str, object]] = []
    monkeypatch.setattr(module, "recordings", lambda: tmp_path / "recorded")
    monkeypatch.setattr(module, "display", lambda what, metadata: calls.append((repr(what), metadata)))
    return calls


def keep() -> pd.DataFrame:
    frame = schema.frame({"phase": ["during"], "count": [23]}, kernel="1.2.3", warnings=["shared CPU"])
    save_recording(frame, "01", "phases")
    return frame


def test_rows_types_and_provenance_come_back(shown: list[object]) -> None:
    frame = keep()
    again = recorded("01", "phases")
    pd.testing.assert_frame_equal(again, frame, check_flags=False)
    assert again.attrs["recorded"] is True
    assert (again.attrs["kernel"], again.attrs["warnings"]) == ("1.2.3", ["shared CPU"])


def test_a_text_comes_back_as_it_was_and_a_missing_number_is_missing(shown: list[object]) -> None:
    columns = {"code": ["00", "1e5"], "reason": ["", "None"], "text": ["", ""], "ratio": [1.5, float("nan")]}
    frame = schema.frame(columns)
    save_recording(frame, "01", "texts")
    pd.testing.assert_frame_equal(recorded("01", "texts"), frame, check_flags=False)


def test_a_frame_that_does_not_know_its_kernel_is_kept_with_it(shown: list[tuple[str, object]]) -> None:
    save_recording(schema.frame({"probe": ["labkit:request_start"]}), "01", "notes")
    assert recorded("01", "notes").attrs["kernel"] == platform.release()


def test_the_learner_is_told_and_the_output_is_marked(shown: list[tuple[str, object]]) -> None:
    keep()
    recorded("01", "phases")
    [(text, metadata)] = shown
    assert text.startswith("RECORDED on kernel 1.2.3")
    assert metadata == {MARK: "01-phases"}


def test_what_can_be_measured_is_measured(shown: list[object]) -> None:
    keep()
    live = schema.frame({"count": [7]})
    assert measured("01", "phases", lambda runs: live, runs=7) is live
    assert shown == []


def test_what_is_missing_is_replaced_and_the_reason_told(shown: list[tuple[str, object]]) -> None:
    def refuse() -> pd.DataFrame:
        raise Missing("No tracefs here.", "mount it")

    keep()
    assert measured("01", "phases", refuse).attrs["recorded"]
    assert "Why: No tracefs here." in shown[0][0] and "Fix: mount it" in shown[0][0]


def test_without_a_recording_the_first_reason_is_what_is_raised(shown: list[object]) -> None:
    def refuse() -> pd.DataFrame:
        raise Missing("No tracefs here.", "mount it")

    with pytest.raises(Missing, match="No tracefs here"):
        measured("01", "nothing", refuse)
    with pytest.raises(Missing, match="no recording 01-nothing"):
        recorded("01", "nothing")


def test_other_errors_are_not_hidden_by_a_recording(shown: list[object]) -> None:
    def refuse() -> pd.DataFrame:
        raise BadArgument("runs=-1 is not allowed.", "pass more")

    keep()
    with pytest.raises(BadArgument):
        measured("01", "phases", refuse)
    assert shown == []


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_the_name_of_an_arm_does_not_read_like_a_list(path: Path) -> None:
    """Sentences and titles put commas between the names of arms."""
    with path.open() as file:
        names = {row["arm"] for row in csv.DictReader(file) if "arm" in row}
    assert [name for name in names if "," in name] == []
