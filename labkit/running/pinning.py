# SPDX-License-Identifier: Apache-2.0
"""Where the two ends of a pair run: on one core, or on two. They are different experiments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from labkit.errors import Missing, check_choices

__all__ = ["CROSS", "PINNINGS", "SAME", "check_pinning", "cpus_for"]

SAME, CROSS = "same core", "cross core"
PINNINGS = (SAME, CROSS)
_MOST_CPUS = 8192  # CONFIG_NR_CPUS on x86-64


def check_pinning(pinning: str | Sequence[str] | None) -> list[str]:
    """Return where the two ends run, or raise; None means every place that this machine has."""
    cpus = len(os.sched_getaffinity(0))
    if pinning is None:
        return list(PINNINGS) if cpus > 1 else [SAME]
    wanted = check_choices("pinning", pinning, PINNINGS)
    if CROSS in wanted and cpus < 2:
        raise Missing("This process may use one CPU only.", f"pass pinning={SAME!r}, or give the machine two CPUs")
    return wanted


def cpus_for(place: str) -> tuple[int, int]:
    """Return the CPUs of the two ends: the last one for both, or that and one of another core."""
    last, *others = sorted(os.sched_getaffinity(0), reverse=True)
    if place == SAME:
        return last, last
    # two hardware threads of one core are not two cores
    return last, next((cpu for cpu in others if cpu not in _threads_of_core(last)), others[0])


def _threads_of_core(cpu: int) -> set[int]:
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
        ranges = [[int(end) for end in part.split("-")] for part in text.strip().split(",")]
    except (OSError, ValueError):
        return {cpu}
    return {number for ends in ranges for number in range(ends[0], min(ends[-1], _MOST_CPUS) + 1)}
