# SPDX-License-Identifier: Apache-2.0
"""Does a frame of many events cost more for each event than a small one? And how narrow does an interval get?"""

from __future__ import annotations

import time

import numpy as np
from scipy import stats

from bench.figure import Figure, Step, compare, rounds
from bench.io import blocks, rate
from labkit.bpf import ring
from labkit.lessons._io.job import Job
from labkit.machine.folders import quick
from labkit.running.progress import Progress
from labkit.stats import trial

__all__ = ["STEPS"]

# numbers and a name, as the records of the lessons have them
RECORD = np.dtype([("time_ns", "u8"), ("latency_ns", "u8"), ("pid", "u4"), ("cpu", "u4"), ("comm", "S16")], align=True)
SMALL, LARGE = 10**5, 10**7
LEAST_S = 0.05  # of making frames: a small one is not timed alone


def _records(events: int) -> np.ndarray:
    made = np.zeros(events, dtype=RECORD)
    made["time_ns"] = np.arange(events)
    made["latency_ns"] = np.random.default_rng(1).integers(0, 10**6, events)
    made["comm"] = np.array([b"reader", b"writer", b"hello-child"])[made["time_ns"] % 3]
    return made


def _ns_per_event(records: np.ndarray) -> float:
    """CPU time, so that nobody else's is counted."""
    began, frames = time.process_time(), 0
    while frames == 0 or time.process_time() - began < LEAST_S:
        assert len(ring.as_frame(records)) == len(records)
        frames += 1
    return (time.process_time() - began) * 1e9 / (frames * len(records))


def _growth(progress: Progress) -> list[Figure]:
    small, large = _records(SMALL), _records(LARGE // quick(1, 10))
    arms = {"10^7 events": lambda: _ns_per_event(large), "10^5 events": lambda: _ns_per_event(small)}
    return [
        compare("frames.growth", arms, arm="10^7 events", baseline="10^5 events", slices=quick(8, 2), progress=progress)
    ]


def _width(progress: Progress) -> list[Figure]:
    """The same arm twice for 30 seconds: the half-width of the interval is what a small effect has to exceed."""
    job = Job("sync", cache="warm")
    with blocks() as file:
        rate(job, file, 0.1)  # how long does a slice take, all in all?
        began = time.monotonic()
        rate(job, file, 0.1)
        slices = max(2, int(quick(30, 2) / 2 / (time.monotonic() - began)))
        arms = {"lab": lambda: {"value": rate(job, file, 0.1)}}
        made = rounds("bench: trial.width", arms, baseline="lab", slices=slices, progress=progress)
    wide = made.pivot(index="slice", columns="arm", values="value")
    logs = np.log((wide["lab" + trial.AGAIN] / wide["lab"]).to_numpy())
    again = stats.bootstrap(
        (logs,), _half_width, vectorized=False, n_resamples=50, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    noise = trial.ratios(made).attrs["warnings"]
    return [Figure("trial.width", _half_width(logs), float(again.low), float(again.high), slices, noise, made)]


def _half_width(logs: np.ndarray) -> float:
    _, low, high = trial.median_interval(list(logs))
    return float(np.exp(high) - np.exp(low)) / 2


STEPS = (
    Step(("frames.growth",), _growth, 16),
    Step(("trial.width",), _width, 34),
)
