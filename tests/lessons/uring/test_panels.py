# SPDX-License-Identifier: Apache-2.0
"""The panel of lesson 08 calls its experiment with what is chosen, and says what it found."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from labkit.lessons import uring
from labkit.lessons.uring import panels

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
    assert sorted(set(zip(made.frame["submitter"], made.frame["batch"], strict=True))) == [
        ("iou-sqp", 1),
        ("iou-sqp", 8),
        ("program", 1),
        ("program", 8),
    ]
    assert made.frame["registered"].unique().tolist() == ["both"]
    assert made.frame["block_bytes"].unique().tolist() == [512]
    by_sqp = made.frame[made.frame["submitter"] == "iou-sqp"]
    assert by_sqp["submits"].sum() == 0


def slices(arm: str, submitter: str, batch: int, calls: int, costs: list[float]) -> list[dict[str, Any]]:
    return [
        {
            "run": 1,
            "arm": arm,
            "slice": number,
            "submitter": submitter,
            "batch": batch,
            "ios": 80,
            "calls": calls,
            "p50_ns": 1.0,
            "ios_per_s": 1.0,
            "program_cpu_ns_per_io": cost,
            "kernel_cpu_ns_per_io": 0.0,
            "cpu_ns_per_io": cost,
        }
        for number, cost in enumerate(costs)
    ]


def test_its_finding_names_calls_and_cost_and_claims_no_difference_that_was_not_shown() -> None:
    rows = [
        *slices("program with batch 1", "program", 1, 80, [1000.0] * 6),
        *slices("program with batch 8", "program", 8, 10, [500.0] * 6),
        *slices("iou-sqp with batch 8", "iou-sqp", 8, 0, [900.0, 1100.0] * 3),
        *slices("program with batch 1 (again)", "program", 1, 80, [1000.0] * 6),
    ]
    assert panels.finding(pd.DataFrame(rows)) == (
        "Submitted by the program with batch 8: 0.12 system calls and 500 ns of CPU time per I/O, 0.5 times (95 % "
        "interval 0.5 to 0.5) that of program with batch 1. Submitted by iou-sqp with batch 8: no system call and 1 µs "
        "of CPU time per I/O; no difference in CPU time from program with batch 1 was shown."
    )


def test_its_choices_are_those_of_the_experiment() -> None:
    made = uring.panel()
    assert [value for _, value in made.controls["register"].options] == list(uring.REGISTERED)
    assert set(uring.BATCHES) <= {value for _, value in made.controls["batch"].options}
