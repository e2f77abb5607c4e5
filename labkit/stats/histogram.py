# SPDX-License-Identifier: Apache-2.0
"""Log-bucketed histograms, the same in BPF (`c/bpf/labkit.h`), in C (`c/workloads/common/histogram.h`) and here.

64 buckets per octave: below 128 each value has its own bucket, above it the highest seven bits of the value choose one.
The error of any percentile is less than one bucket, 1.6 %; with many observations in the bucket it is far less.
Histograms are merged by adding counts; percentiles are never averaged.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from labkit.errors import LabkitError

SUB_BUCKETS = 64
BUCKETS = 2368
_MOST_COUNTED = 2.0**62
ENOUGH_FOR_P99 = 1000  # ten of them are above it

Counts = npt.NDArray[np.int64]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def bucket_low(bucket: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the smallest value that falls in each bucket."""
    index = np.asarray(bucket, dtype=np.int64)
    octave = np.maximum(index // SUB_BUCKETS - 1, 0)
    low: npt.NDArray[np.int64] = np.left_shift(index - octave * SUB_BUCKETS, octave)
    return low


def bucket_middle(bucket: npt.ArrayLike, width: int = 1) -> npt.NDArray[np.int64]:
    """Return the middle of each bucket, or of each run of `width` buckets that begins with it."""
    first = np.asarray(bucket, dtype=np.int64)
    middle: npt.NDArray[np.int64] = (bucket_low(first) + bucket_low(first + width) - 1) // 2
    return middle


def bucket_of(value: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the bucket of each value (a whole number, 0 or more)."""
    whole = np.asarray(value, dtype=np.int64)
    octave = np.zeros_like(whole)
    high = whole >> 6
    for step in (32, 16, 8, 4, 2, 1):
        up = high >= (1 << step)
        octave = np.where(up, octave + step, octave)
        high = np.where(up, high >> step, high)
    return np.minimum(octave * SUB_BUCKETS + (whole >> octave), BUCKETS - 1)


def from_buckets(pairs: Iterable[tuple[int, int]]) -> Counts:
    """Return counts by bucket from a workload's `[[low, count], ...]`.

    Raises
    ------
    LabkitError : it is something else, or a number is below 0.
    """
    counts = np.zeros(BUCKETS, dtype=np.int64)
    try:
        made = list(pairs)
        rows = np.array(made, dtype=np.int64) if made else np.zeros((0, 2), dtype=np.int64)
        if rows.ndim != 2 or rows.shape[1] != 2 or (rows < 0).any():
            raise ValueError("each row is a bucket's lowest value and a count, 0 or more")
        if rows[:, 1].astype(float).sum() >= _MOST_COUNTED:
            raise ValueError("the counts add up to more than 63 bits hold")
    except (ValueError, TypeError, OverflowError) as error:
        raise LabkitError(
            f"A histogram of a workload is damaged: {_first_line(error)}.",
            "run the cell again; if it happens again, this is a bug of the workload",
        ) from None
    np.add.at(counts, bucket_of(rows[:, 0]), rows[:, 1])
    return counts


def quantile(counts: npt.ArrayLike, q: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the value below which a share `q` of the observations lies, interpolated inside its bucket.

    The observations of a bucket are taken to be spread evenly over it. So the estimate moves smoothly when the
    distribution moves, and its steps are not those of the buckets.

    Parameters
    ----------
    counts : observations per bucket.
    q : one share, or several, from 0 to 1.

    Returns NaN where there are no observations.
    """
    per_bucket = np.asarray(counts, dtype=np.int64)
    shares = np.asarray(q, dtype=np.float64)
    running = np.cumsum(per_bucket)
    if running[-1] == 0:
        return np.full(shares.shape, np.nan)
    # the smallest rank that covers the share; rank 1 is the least observation
    bucket = np.searchsorted(running, np.maximum(np.ceil(shares * running[-1]), 1))
    inside = per_bucket[bucket]
    before = running[bucket] - inside
    half = 0.5 / inside  # each observation is in the middle of its part of the bucket
    part = np.clip((shares * running[-1] - before) / inside, half, 1 - half)
    low, high = bucket_low(bucket), bucket_low(bucket + 1)
    return np.asarray(low - 0.5 + part * (high - low), dtype=np.float64)


def total(counts: npt.ArrayLike) -> float:
    """Return the sum of the observations, each taken to lie in the middle of its bucket."""
    per_bucket = np.asarray(counts, dtype=np.int64)
    buckets = np.arange(len(per_bucket))
    return float((per_bucket * (bucket_low(buckets) + bucket_low(buckets + 1) - 1) / 2).sum())


def p99(counts: npt.ArrayLike) -> float:
    """Return the 99th percentile, or NaN below `ENOUGH_FOR_P99` observations: then it rests on a handful of them."""
    return float(quantile(counts, 0.99)) if np.sum(counts) >= ENOUGH_FOR_P99 else float("nan")
