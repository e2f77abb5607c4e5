# SPDX-License-Identifier: Apache-2.0
"""Where two ends run, on machines whose usable CPUs have gaps and do not begin with 0."""

from __future__ import annotations

import os

import pytest

from labkit.lessons.uring.polling import submitters
from labkit.running import pinning
from labkit.running.pinning import CROSS, SAME, check_pinning, cpus_for


def allow(monkeypatch: pytest.MonkeyPatch, *cpus: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(cpus))
    monkeypatch.setattr(pinning, "_threads_of_core", lambda cpu: {cpu - cpu % 2, cpu - cpu % 2 + 1})


@pytest.mark.parametrize(
    ("allowed", "cross"), [((0, 2), (2, 0)), ((3, 8, 9), (9, 3)), ((4, 5), (5, 4)), ((1, 700), (700, 1))]
)
def test_only_cpus_that_may_be_used_are_chosen(
    monkeypatch: pytest.MonkeyPatch, allowed: tuple[int, ...], cross: tuple[int, int]
) -> None:
    allow(monkeypatch, *allowed)
    assert check_pinning(None) == [SAME, CROSS]
    assert cpus_for(SAME) == (allowed[-1], allowed[-1])
    assert cpus_for(CROSS) == cross  # two hardware threads of one core only where there is nothing else


def test_one_cpu_that_is_not_the_first_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, 1)
    assert check_pinning(None) == [SAME]
    assert cpus_for(SAME) == (1, 1)


def test_the_submitting_thread_gets_a_cpu_that_may_be_used() -> None:
    asked = {
        way: options[options.index("--sqpoll-cpu") + 1] for way, options in submitters([2, 5]).items() if options[1:]
    }
    assert set(asked.values()) == {"2", "5"} and asked["iou-sqp on the program's CPU"] == "2"
    assert [options for way, options in submitters([5]).items() if "sqpoll" in " ".join(options)] == [
        ("--sqpoll", "--sqpoll-cpu", "5")
    ]
