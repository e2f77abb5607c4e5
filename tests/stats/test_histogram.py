# SPDX-License-Identifier: Apache-2.0
"""The buckets of Python agree with their definition; those of C and BPF are compared with them in their own tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.stats import histogram


@given(st.integers(0, 2**42 - 1))
def test_a_value_lies_in_its_bucket(value: int) -> None:
    bucket = histogram.bucket_of(value)
    assert histogram.bucket_low(bucket) <= value < histogram.bucket_low(bucket + 1)


@given(st.integers(128, 2**42 - 1))
def test_a_bucket_is_at_most_one_sixty_fourth_wide(value: int) -> None:
    bucket = histogram.bucket_of(value)
    low, next_low = int(histogram.bucket_low(bucket)), int(histogram.bucket_low(bucket + 1))
    assert next_low - low <= low / 64


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300), st.floats(0, 1))
def test_a_quantile_is_within_a_bucket_of_the_exact_one(values: list[int], share: float) -> None:
    counts = np.bincount(histogram.bucket_of(values), minlength=histogram.BUCKETS)
    exact = np.quantile(values, share, method="inverted_cdf")
    assert histogram.quantile(counts, share) == pytest.approx(exact, rel=1 / 64, abs=0.5)


@given(st.floats(100, 1e6), st.floats(0.01, 0.99))
def test_a_quantile_moves_within_the_bucket(middle: float, share: float) -> None:
    values = np.random.default_rng(23).normal(middle, 0.3 * middle, 20_011)
    values = np.abs(values).round().astype(np.int64)
    counts = np.bincount(histogram.bucket_of(values), minlength=histogram.BUCKETS)
    # a quarter of a bucket: without interpolation half of one is usual
    assert histogram.quantile(counts, share) == pytest.approx(np.quantile(values, share), rel=0.25 / 64, abs=0.6)


def test_one_observation_is_in_the_middle_of_its_bucket() -> None:
    counts = histogram.from_buckets([(1000, 1)])
    low, high = histogram.bucket_low(histogram.bucket_of(1000)), histogram.bucket_low(histogram.bucket_of(1000) + 1)
    assert histogram.quantile(counts, [0, 0.5, 1]).tolist() == [(low + high - 1) / 2] * 3


def test_a_99th_percentile_needs_a_thousand_observations() -> None:
    assert np.isnan(histogram.p99(histogram.from_buckets([(100, 999)])))
    assert histogram.p99(histogram.from_buckets([(100, 1000)])) == pytest.approx(100, abs=0.5)


def test_no_observations_have_no_quantile() -> None:
    assert np.isnan(histogram.quantile(np.zeros(histogram.BUCKETS, dtype=int), 0.5))


def test_pairs_of_a_workload_are_added_up() -> None:
    counts = histogram.from_buckets([(5, 2), (1000, 3), (5, 1)])
    assert counts[5] == 3
    assert counts[histogram.bucket_of(1000)] == 3
    assert counts.sum() == 6


def test_values_beyond_the_last_bucket_share_it() -> None:
    assert histogram.bucket_of(2**62) == histogram.BUCKETS - 1
