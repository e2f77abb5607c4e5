# SPDX-License-Identifier: Apache-2.0
"""How often does a 95 % interval hold the truth? A simulation, because there the truth is known."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from bench.figure import Figure, Step
from labkit.machine.folders import quick
from labkit.running.progress import Progress
from labkit.stats import histogram, trial

__all__ = ["STEPS", "holds"]

NOISE = (0.0, 0.02, 0.2)  # of the machine, from slice to slice: standard deviation of the logarithm
SLICES = (trial.ENOUGH, 8, 15)
SPREAD, IOS = 0.15, 301  # of the latencies within a slice, and how many there are
BASE_NS, RATIO = 10_000, 1.01


def _median_ns(chance: np.random.Generator, level_ns: float, noise: float) -> float:
    """Return the median of one slice as a workload reports it: from a histogram of latencies."""
    latencies = level_ns * chance.lognormal(0, noise) * chance.lognormal(0, SPREAD, IOS)
    counts = np.bincount(histogram.bucket_of(latencies), minlength=histogram.BUCKETS)
    return float(histogram.quantile(counts, 0.5))


def holds(chance: np.random.Generator, slices: int, noise: float) -> bool:
    """Return whether the interval of one simulated comparison holds the true ratio."""
    pairs = [[_median_ns(chance, level, noise) for level in (BASE_NS, BASE_NS * RATIO)] for _ in range(slices)]
    _, low, high = trial.median_interval([math.log(two / one) for one, two in pairs])
    return low <= math.log(RATIO) <= high


def _coverage(progress: Progress) -> list[Figure]:
    """Its interval is that of the binomial over all trials; the share at each setting is in the facts."""
    chance, trials = np.random.default_rng(), quick(600, 20)
    settings = list(product(SLICES, NOISE))
    shares: dict[str, float] = {}
    for number, (slices, noise) in enumerate(settings):
        progress(number / len(settings), f"{slices} slices, noise {noise}")
        held = sum(holds(chance, slices, noise) for _ in range(trials))
        shares[f"{slices} slices, noise {noise}"] = round(held / trials, 4)
    share, of_all = float(np.mean(list(shares.values()))), trials * len(settings)
    reach = 1.96 * math.sqrt(share * (1 - share) / of_all)
    facts = {"shares": shares, "trials_each": trials}
    return [Figure("trial.coverage", share, share - reach, share + reach, of_all, facts=facts)]


STEPS = (Step(("trial.coverage",), _coverage, 14),)
