# SPDX-License-Identifier: Apache-2.0
"""Progress of a run: bounded, not too often, with the time left."""

from __future__ import annotations

import pytest

from labkit.errors import Stopped
from labkit.notebook.panel import run as module
from labkit.notebook.panel.run import Run
from labkit.notebook.panel.view import time_left

Shown = list[tuple[float, str, float | None]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def make(shown: Shown) -> Run:
    return Run("test", lambda progress: None, lambda *what: shown.append(what))


def test_the_time_left_follows_from_the_share_done(clock: list[float]) -> None:
    shown: Shown = []
    run = make(shown)
    clock[0] += 10
    run.progress(0.25, "a")
    assert shown == [(0.25, "a", pytest.approx(30))]


def test_no_guess_is_made_at_the_very_start(clock: list[float]) -> None:
    shown: Shown = []
    run = make(shown)
    clock[0] += 0.2
    run.progress(0.5, "a")
    clock[0] += 10
    run.progress(0.001, "b")
    assert [left for _, _, left in shown] == [None, None]


def test_it_is_shown_ten_times_a_second_at_most_and_at_the_end(clock: list[float]) -> None:
    shown: Shown = []
    run = make(shown)
    for step in range(1000):
        clock[0] += 0.001
        run.progress(step / 1000, "a")
    run.progress(1.0, "done")
    assert 9 <= len(shown) <= 12
    assert shown[-1] == (1.0, "done", 0.0)


def test_a_share_beyond_its_bounds_is_bounded(clock: list[float]) -> None:
    shown: Shown = []
    run = make(shown)
    for share in (-1, 7):
        clock[0] += 10
        run.progress(share, "a")
    assert [share for share, _, _ in shown] == [0, 1]


def test_after_stop_progress_raises(clock: list[float]) -> None:
    run = make([])
    run.stop()
    with pytest.raises(Stopped):
        run.progress(0.5, "a")


@pytest.mark.parametrize(
    ("left_s", "said"), [(None, ""), (0.3, "less than 1 s left"), (12.4, "about 12 s left"), (150, "about 2 min left")]
)
def test_the_time_left_in_words(left_s: float | None, said: str) -> None:
    assert time_left(left_s) == said
