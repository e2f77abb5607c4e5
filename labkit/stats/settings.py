# SPDX-License-Identifier: Apache-2.0
"""Compare arms in each of several settings, such as block sizes: what differs between settings is never compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from labkit import schema
from labkit.stats import trial

__all__ = ["ratios"]


def ratios(
    frame: pd.DataFrame, setting: Sequence[str], baseline: str, words: Callable[[dict[str, Any]], str]
) -> pd.DataFrame:
    """Return each arm's median ratio to the baseline with its 95 % interval, in each setting.

    Parameters
    ----------
    frame : arm, slice, value, and the columns of `setting`; settings come in the order of its rows.
    setting : the columns that hold for all arms of a comparison.
    baseline : the arm in the denominator.
    words : a setting in words, for a warning that concerns it alone.

    Returns a frame with the columns of `setting`, arm, ratio, low, high, slices; warnings as of `trial.ratios`.
    """
    parts, before = [], list(frame.attrs.get("warnings", []))
    warnings = list(before)
    for values, rows in frame.groupby(list(setting), sort=False):
        here: dict[str, Any] = dict(zip(setting, values, strict=True))
        found = trial.ratios(rows[["arm", "slice", "value"]], baseline)
        parts.append(found.assign(**here)[[*setting, *found]])
        news = [said for said in found.attrs["warnings"] if said not in before]
        warnings += [said if said == trial.TOO_FEW else f"{words(here)}: {said}" for said in news]
    made = pd.concat(parts, ignore_index=True)
    return schema.derived(made, frame, baseline=baseline, warnings=list(dict.fromkeys(warnings)))
