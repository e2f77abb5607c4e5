# SPDX-License-Identifier: Apache-2.0
"""How long a graded notebook may take: a place that is slower than a quiet machine gives it more time.

A virtual machine without KVM, or a machine with much other work, is many times slower. A limit that is right there
would let a notebook that hangs hold up a quiet machine. So the place is measured before a learner's code runs in it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from labkit.machine import ending

__all__ = ["MOST_TIMES", "most_s", "read_slowness", "slowness", "write_slowness"]

MOST_TIMES = 4  # the whole of a notebook may take this many times what the learner's own cells may
MOST_SLOWNESS = 60.0
_MORE_S = 60  # for what is not the learner's: the start of Python, compiling, judging
_QUIET_S = 0.5  # what `slowness` times, on a quiet machine of 2025
_FILE = "slowness"


def slowness() -> float:
    """Return how many times longer the lab's modules take to load here and now than on a quiet machine, from 1 to 60.

    It is the second start that counts: the first one may read the modules from the disk, or through a share.
    """
    words = [sys.executable, "-c", "import labkit.classroom.learner, IPython.core.interactiveshell"]
    for _ in range(2):
        started_s = time.monotonic()
        ending.run(words, 60 * MOST_SLOWNESS * _QUIET_S).check_returncode()
        took_s = time.monotonic() - started_s
    return round(min(max(took_s / _QUIET_S, 1.0), MOST_SLOWNESS), 1)


def most_s(seconds: int, slow: float) -> float:
    """Return how long the whole of a notebook may take whose learner's cells may take `seconds` on a quiet machine."""
    return slow * (MOST_TIMES * seconds + _MORE_S)


def write_slowness(out: Path, slow: float) -> None:
    """Leave the slowness of a place in the folder of its results, before anything of a learner runs."""
    fresh = out / f".{_FILE}.part"
    fresh.write_text(str(slow), encoding="utf-8")
    fresh.rename(out / _FILE)


def read_slowness(out: Path) -> float | None:
    """Return the slowness of a place, None if it is not known yet."""
    try:
        return min(max(float((out / _FILE).read_text(encoding="utf-8")), 1.0), MOST_SLOWNESS)
    except (OSError, ValueError):
        return None
