# SPDX-License-Identifier: Apache-2.0
"""Two p99s of the same requests, and how far they are apart."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.stats.histogram import BUCKETS, Counts, bucket_of
from labkit.stats.tails import by_two_clocks


def counts(values: np.ndarray) -> Counts:
    return np.bincount(bucket_of(values.astype(np.int64)), minlength=BUCKETS)


def slices(scale: float, number: int = 6, requests: int = 20_000) -> list[Counts]:
    chance = np.random.default_rng(7)
    return [counts(scale * chance.exponential(1e5, requests)) for _ in range(number)]


def test_both_p99s_and_their_ratio_have_intervals_that_hold_the_truth() -> None:
    made, truth_ns = by_two_clocks(slices(3), slices(1)), np.log(100) * 1e5
    for name, truth in (("p99_ns", 3 * truth_ns), ("service_p99_ns", truth_ns)):
        assert made[f"low_{name}"] < made[name] < made[f"high_{name}"]
        assert made[name] == pytest.approx(truth, rel=0.02)
    assert made["low"] <= made["ratio"] <= made["high"]
    assert made["ratio"] == pytest.approx(3, rel=0.02)


def test_the_same_clock_twice_has_the_ratio_one() -> None:
    made = by_two_clocks(slices(1), slices(1))
    assert (made["low"], made["ratio"], made["high"]) == (1, 1, 1)


def test_one_slice_with_too_few_requests_leaves_no_p99() -> None:
    made = by_two_clocks([*slices(3, 5), *slices(3, 1, 999)], slices(1))
    assert np.isnan([made["p99_ns"], made["high_p99_ns"], made["ratio"], made["low"], made["high"]]).all()
    assert made["service_p99_ns"] > 0
