# SPDX-License-Identifier: Apache-2.0
"""The 99th percentile by two clocks: one starts when a request is due, the other when it is sent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.stats import trial
from labkit.stats.histogram import Counts, p99

__all__ = ["by_two_clocks"]


def by_two_clocks(due: Sequence[Counts], sent: Sequence[Counts]) -> dict[str, float]:
    """Return both p99s and their ratio, each with its 95 % interval, as columns of a frame.

    Parameters
    ----------
    due, sent : one histogram per slice, of the same requests: their latencies in ns from when they were due, and from
        when they were sent.

    Returns p99_ns, low_p99_ns, high_p99_ns; service_p99_ns, low_service_p99_ns, high_service_p99_ns; ratio, low, high
    (p99_ns to service_p99_ns, slice by slice). All of them are NaN if a slice has fewer than 1000 requests.
    """
    late, service = (np.array([p99(counts) for counts in side]) for side in (due, sent))
    ratio, low, high = trial.median_interval(_all_or_none(late / service))
    both = trial.interval("p99_ns", _all_or_none(late)) | trial.interval("service_p99_ns", _all_or_none(service))
    return {**both, "ratio": ratio, "low": low, "high": high}


def _all_or_none(values: np.ndarray) -> list[float]:
    return [] if np.isnan(values).any() else values.tolist()
