# SPDX-License-Identifier: Apache-2.0
"""Lesson 03's panel, run as a learner would."""

from __future__ import annotations

import pytest

from labkit.lessons import verifier


@pytest.mark.bpf
def test_the_loops_panel_says_how_long_a_loop_passes() -> None:
    made = verifier.panel()
    made.controls["rounds"].value = (100, 1_000_000)
    made.controls["bodies"].value = ("plain",)
    made.run()
    made.wait(300)
    assert made.frame["verdict"].tolist() == ["accepted", "rejected"]
    assert "plain: up to 100 rounds accepted" in made._result.value
    made.close()
