# SPDX-License-Identifier: Apache-2.0
"""Lesson 03's panels, run as a learner would."""

from __future__ import annotations

import pytest

from labkit.errors import BadArgument
from labkit.lessons import verifier


def test_an_unknown_subject_names_the_known_ones() -> None:
    with pytest.raises(BadArgument, match="gallery"):
        verifier.panel("galery")


@pytest.mark.bpf
def test_the_loops_panel_says_how_long_a_loop_passes() -> None:
    made = verifier.panel("loops")
    made.controls["rounds"].value = (100, 1_000_000)
    made.controls["bodies"].value = ("plain",)
    made.run()
    made.wait(300)
    assert made.frame["verdict"].tolist() == ["accepted", "rejected"]
    assert "plain: up to 100 rounds accepted" in made._result.value
    made.close()


@pytest.mark.bpf
def test_the_gallery_panel_shows_both_versions() -> None:
    made = verifier.panel("gallery")
    made.controls["programs"].value = ("null_test",)
    made.run()
    made.wait(300)
    assert made.frame["verdict"].tolist() == ["rejected", "accepted"]
    assert "1 of 2 were rejected." in made._result.value
    made.close()
