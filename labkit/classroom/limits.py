# SPDX-License-Identifier: Apache-2.0
"""How long a graded notebook may take."""

from __future__ import annotations

__all__ = ["MOST_TIMES"]

MOST_TIMES = 4  # the whole of a notebook may take this many times what the learner's own cells may
