# SPDX-License-Identifier: Apache-2.0
"""What an interval settles: in which range a value lies, which arm is ahead; or that it was not shown."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pandas as pd

from labkit.stats import trial

__all__ = ["NOT_SHOWN", "choice", "first", "order"]

NOT_SHOWN = "not shown: the difference may be noise"


def choice(low: float, high: float, ends: Mapping[str, float]) -> str:
    """Return the name of the range that holds a whole interval, or "not shown: …".

    Parameters
    ----------
    low, high : the interval.
    ends : name -> where its range ends, in ascending order; the last one ends at `math.inf`. A range begins where the
        one before it ends.
    """
    names = [next((name for name, end in ends.items() if each < end), "") for each in (low, high)]
    if "" in names:
        return "not known here"
    return names[0] if names[0] == names[1] else "not shown: the interval is in more than one range"


def first(frame: pd.DataFrame, *, least: bool = False) -> str:
    """Return the arm with the largest median (`least`: the smallest), or "not shown: …".

    Parameters
    ----------
    frame : one row per slice: arm, slice, value. The arm "(again)" does not take part.

    An arm is ahead if the interval of each other arm's ratio to it leaves out 1.
    """
    own, middles = _medians(frame)
    best = str(middles.idxmin() if least else middles.idxmax())
    others = trial.ratios(own, best)
    behind = others["low"] > 1 if least else others["high"] < 1
    return best if behind.all() else NOT_SHOWN


def order(frame: pd.DataFrame) -> list[str]:
    """Return the arms in the order of their medians, the smallest first; an empty list if it was not shown.

    Parameters
    ----------
    frame : as of `first`. The order is shown if the ratio of each arm to the one before it has an interval above 1.
    """
    own, middles = _medians(frame)
    arms = [str(arm) for arm in middles.sort_values().index]
    pairs = pairwise(arms)
    apart = [trial.ratios(own[own["arm"].isin(pair)], pair[0])["low"].iloc[0] > 1 for pair in pairs]
    return arms if all(apart) else []


def _medians(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[float]]:
    """Return the slices without those of the A/A arm, and the median of each arm."""
    own = frame[~frame["arm"].str.endswith(trial.AGAIN)]
    return own, own.groupby("arm", sort=False)["value"].median()
