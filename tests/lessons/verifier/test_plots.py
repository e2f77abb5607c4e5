# SPDX-License-Identifier: Apache-2.0
"""The loops' picture, and a verdict as a learner sees it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labkit import schema
from labkit.bpf.verifier.explain import ACCEPTED, Verdict
from labkit.errors import VerifierError
from labkit.lessons import verifier
from labkit.notebook.verdict_box import verdict_box

TOLD = Verdict(
    headline="x.c:3: a pointer that may be NULL is used before it was tested.",
    fix="test the pointer <first>",
    detail="x.c, line 3\n    3 | *p += 1;",
    line=3,
    column=1,
    kind="null",
    said="R0 invalid mem access 'map_value_or_null'",
    processed=7,
    log="\n".join(f"{number}: (b7) r1 = 0" for number in range(1000)),
)


def test_refused_loops_are_marked_otherwise_than_accepted_ones() -> None:
    frame = schema.frame(
        {
            "rounds": [10, 1000, 1_000_000],
            "body": ["plain"] * 3,
            "verdict": ["accepted", "accepted", "rejected"],
            "walked": [24, 10_004, 1_000_001],
        }
    )
    ax = verifier.plot(frame)
    markers = {line.get_label(): line.get_marker() for line in ax.lines}
    assert set(markers) == {"plain: accepted", "plain: rejected"}
    assert len(set(markers.values())) == 2


def test_a_verdict_shows_fix_reading_and_the_end_of_the_log() -> None:
    shown = verdict_box(TOLD)
    assert shown.text.splitlines()[:2] == [f"Rejected: {TOLD.headline}", f"Suggestion: {TOLD.fix}"]
    assert "&lt;first&gt;" in shown.html
    assert "<details><summary" in shown.html
    assert "999: (b7)" in shown.html and "\n10: (b7)" not in shown.html
    assert "600 lines before" in shown.html


def test_the_log_opens_on_request() -> None:
    assert "<details open>" in verdict_box(TOLD, show_log=True).html
    assert "999: (b7)" in verdict_box(TOLD, show_log=True).text


def test_an_error_is_shown_as_its_verdict() -> None:
    error = VerifierError(TOLD.headline, TOLD.fix, TOLD.detail, log=TOLD.log)
    assert verdict_box(error).text == verdict_box(TOLD).text


@pytest.mark.parametrize("log", ["", "processed 2 insns"])
def test_an_accepted_program_is_said_so(log: str) -> None:
    shown = verdict_box(replace(TOLD, kind=ACCEPTED, headline="x.c: accepted.", log=log))
    assert shown.text == "x.c: accepted."
    assert "labkit-ok" in shown.html
