# SPDX-License-Identifier: Apache-2.0
"""Lesson 10: the slices of an experiment, unwatched and watched, as one frame; comparing and adding them up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pandas as pd

from labkit import schema
from labkit.errors import check_choice
from labkit.stats import trial

__all__ = [
    "REQUEST",
    "TRANSACTION",
    "arm_ratios",
    "call_table",
    "is_watched",
    "plain",
    "planned",
    "slice_frame",
    "whole_runs",
]

TRANSACTION, REQUEST = "(transaction)", "(request)"  # in the column `call`: a row about a whole slice
_WHOLE = (TRANSACTION, REQUEST)
_WATCHED = " (watched)"

T = TypeVar("T")


def call_table(frame: pd.DataFrame, arm: str | None = None) -> pd.DataFrame:
    """Return one row per kind of call, for each arm or for one, from all its watched slices together.

    Columns: arm, call, file, count, calls_per_UNIT, total_ns, ns_per_UNIT, mean_ns, p50_ns (the median of the slices'),
    p99_ns (so too), written_bytes, share (of the slices' time); a UNIT is a transaction or a request.
    """
    watched = frame[frame["watched"] & (frame["arm"] == arm if arm else True)]
    whole = watched["call"].isin(_WHOLE)
    units, unit_ns = (watched[whole].groupby("arm")[column].sum() for column in ("count", "total_ns"))
    how = {"count": "sum", "total_ns": "sum", "p50_ns": "median", "p99_ns": "median"}
    found = watched[~whole].groupby(["arm", "call", "file"], sort=False, as_index=False)
    made = found.agg(how).assign(written_bytes=found["written_bytes"].sum(min_count=1)["written_bytes"])
    unit = "transaction" if "calls_per_transaction" in frame else "request"
    made[f"calls_per_{unit}"] = made["count"] / made["arm"].map(units)
    made[f"ns_per_{unit}"] = made["total_ns"] / made["arm"].map(units)
    made["mean_ns"] = made["total_ns"] / made["count"]
    made["share"] = made["total_ns"] / made["arm"].map(unit_ns)
    arms = list(dict.fromkeys(watched["arm"]))
    made = made.sort_values("total_ns", ascending=False, kind="stable")
    made = made.sort_values("arm", key=lambda names: names.map(arms.index), kind="stable")
    return schema.derived(made.reset_index(drop=True), frame)


def whole_runs(frame: pd.DataFrame, *, watched: bool = False) -> pd.DataFrame:
    """Return the rows that are about whole slices: the unwatched ones, which may be compared, or the watched ones."""
    return frame[(frame["watched"] == watched) & frame["call"].isin(_WHOLE)]


def slice_frame(
    taken: trial.Slices[T], arms: Sequence[str], rows: Callable[[str, T], list[dict[str, Any]]], **facts: Any
) -> pd.DataFrame:
    """Return the frame of all slices, arm by arm; `rows` makes those of a slice, from its arm's plain name."""
    order = planned(arms)
    made = [
        {"arm": each.arm.removesuffix(_WATCHED), "watched": is_watched(each.arm), "slice": each.number, **row}
        for each in sorted(taken.taken, key=lambda each: (order.index(each.arm), each.number))
        for row in rows(plain(each.arm), each.value)
    ]
    return schema.frame(made, seed=taken.seed, baseline=arms[0], **facts)


def planned(arms: Sequence[str]) -> list[str]:
    """Return the arms to interleave: each unwatched, the first one again as the A/A arm, and each watched."""
    return [*arms, arms[0] + trial.AGAIN, *(arm + _WATCHED for arm in arms)]


def plain(arm: str) -> str:
    """Return the name of an arm as it was before `planned`."""
    return arm.removesuffix(trial.AGAIN).removesuffix(_WATCHED)


def is_watched(arm: str) -> bool:
    """Return whether a planned arm is a watched one."""
    return arm.endswith(_WATCHED)


def arm_ratios(frame: pd.DataFrame, column: str, baseline: str | None = None) -> pd.DataFrame:
    """Return each arm's `column`, times that of the baseline (None: the first arm), from the unwatched slices.

    See `labkit.stats.trial.ratios`. Only the first arm has an A/A arm.
    """
    first = str(frame.attrs["baseline"])
    baseline = baseline or first
    runs = whole_runs(frame)
    check_choice("baseline", baseline, list(dict.fromkeys(runs["arm"])))
    runs = runs[(runs["arm"] != first + trial.AGAIN) | (baseline == first)]
    made = trial.ratios(runs.assign(value=runs[column])[["arm", "slice", "value"]], baseline)
    made.attrs = {**frame.attrs, **made.attrs, "warnings": [*frame.attrs["warnings"], *made.attrs["warnings"]]}
    return made
