# SPDX-License-Identifier: Apache-2.0
"""How a long measurement tells how far it is, and is asked to stop.

`progress(share, note)` is called about ten times per second with the share done, 0 to 1, and a short note. A panel's
callback raises `labkit.errors.Stopped` when the learner has pressed Stop: the exception unwinds every `with` block,
which detaches and ends everything. So Stop needs no code in any experiment.
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]
Tick = Callable[[float], None]  # called about ten times per second with the seconds gone by; may raise to stop the work


def silent(share: float, note: str) -> None:
    """Report nothing: what a measurement uses when nobody watches."""


def part(progress: Progress, low: float, high: float) -> Progress:
    """Return a progress for one stretch of a longer job, from share `low` to share `high`."""
    return lambda share, note: progress(low + (high - low) * min(max(share, 0.0), 1.0), note)
