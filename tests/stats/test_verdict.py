# SPDX-License-Identifier: Apache-2.0
"""An interval settles a question only if all of it is on one side."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from labkit.stats import trial, verdict

ENDS = {"less": 0.9, "equal": 1.1, "more": math.inf}


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.2, 0.8, "less"),
        (0.95, 1.05, "equal"),
        (2.0, 9.0, "more"),
        (0.8, 1.0, "not shown: the interval is in more than one range"),
        (math.nan, math.nan, "not known here"),
    ],
)
def test_a_range_is_chosen_where_it_holds_the_whole_interval(low: float, high: float, said: str) -> None:
    assert verdict.choice(low, high, ENDS) == said


def slices(noise: float, **levels: float) -> pd.DataFrame:
    chance = np.random.default_rng(5)
    rows = [
        {"arm": arm, "slice": number, "value": level * chance.lognormal(0, noise)}
        for number in range(12)
        for arm, level in {**levels, "a" + trial.AGAIN: levels["a"]}.items()
    ]
    return pd.DataFrame(rows)


def test_an_arm_is_ahead_where_every_interval_says_so() -> None:
    apart, close = slices(0.01, a=1.0, b=2.0, c=3.0), slices(0.3, a=1.0, b=1.01, c=1.02)
    assert [verdict.first(apart), verdict.first(apart, least=True)] == ["c", "a"]
    assert [verdict.first(close), verdict.first(close, least=True)] == [verdict.NOT_SHOWN] * 2


def test_one_arm_that_is_close_leaves_the_first_place_open() -> None:
    assert verdict.first(slices(0.05, a=1.0, b=3.0, c=3.01)) == verdict.NOT_SHOWN


def test_an_order_is_shown_where_neighbours_differ() -> None:
    assert verdict.order(slices(0.01, b=2.0, a=1.0, c=3.0)) == ["a", "b", "c"]
    assert verdict.order(slices(0.05, a=1.0, b=3.0, c=3.01)) == []
    assert verdict.order(slices(0.01, a=1.0)) == ["a"]


def test_a_quotient_has_the_ends_that_are_farthest_apart() -> None:
    assert trial.quotient((6.0, 5.0, 8.0), (2.0, 1.0, 2.5)) == (3.0, 2.0, 8.0)
