# SPDX-License-Identifier: Apache-2.0
"""The panel of lesson 08 calls its experiment with what is chosen, and says what it found."""

from __future__ import annotations

import pandas as pd
import pytest

from labkit.lessons import uring
from labkit.lessons import uring as experiment

pytestmark = pytest.mark.bpf


def test_it_measures_what_is_chosen_and_says_so() -> None:
    made = uring.panel()
    made.controls["batch"].value = (1, 8)
    made.controls["submitter"].value = ("program", "iou-sqp")
    made.controls["register"].value = "both"
    made.controls["block_bytes"].value = 512
    made.controls["seconds"].value = 0.02
    made.run()
    made.wait(300)
    assert sorted(zip(made.frame["submitter"], made.frame["batch"], strict=True)) == [
        ("iou-sqp", 1), ("iou-sqp", 8), ("program", 1), ("program", 8),
    ]  # fmt: skip
    assert made.frame["registered"].unique().tolist() == ["both"]
    assert made.frame["block_bytes"].unique().tolist() == [512]
    by_sqp = made.frame[made.frame["submitter"] == "iou-sqp"]
    assert by_sqp["hand_overs"].sum() == 0


def test_its_finding_names_the_calls_of_an_io(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        "run": [1, 1, 1], "submitter": ["program", "program", "iou-sqp"], "batch": [1, 8, 8], "ios": [80, 80, 80],
        "calls": [80, 10, 0], "program_cpu_ns_per_io": [9.0, 500.0, 100.0], "kernel_cpu_ns_per_io": [0.0, 0.0, 900.0],
    }  # fmt: skip
    said = uring.panel()._finding(pd.DataFrame(rows))  # type: ignore[misc]
    assert said == (
        "Handed over by the program, 8 at once: 0.12 calls are made for an I/O; it costs 500 ns of CPU time. "
        "Handed over by iou-sqp, 8 at once: no call is made for an I/O; it costs 1 µs of CPU time."
    )


def test_its_choices_are_those_of_the_experiment() -> None:
    made = uring.panel()
    assert [value for _, value in made.controls["register"]._options_full] == list(experiment.REGISTERED)
    assert set(experiment.BATCHES) <= {value for _, value in made.controls["batch"]._options_full}
