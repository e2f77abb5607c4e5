# SPDX-License-Identifier: Apache-2.0
"""Compare ways of doing the same thing, fairly, on a machine that is noisy.

Each arm runs in short slices; the slices of all arms are interleaved in random balanced order (a round and its mirror:
A B, B A), so that a drift of the machine hits all arms alike. The baseline runs twice, as itself and as the A/A arm:
any difference between those two is noise. The slice is the unit; a ratio comes with the 95 % interval of its median.

References: Kalibera and Jones, "Rigorous benchmarking in reasonable time" (ISMM 2013); Hettmansperger and Sheather,
"Confidence intervals based on interpolated order statistics" (Statistics & Probability Letters 4, 1986).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
import pandas as pd

from labkit import schema
from labkit.errors import WorkloadUnable, check_choice, check_int, check_seed
from labkit.machine.folders import quick
from labkit.running.progress import Progress, Tick, silent

A = TypeVar("A")
T = TypeVar("T")

AGAIN = " (again)"
WIDE = 0.10  # an A/A interval wider than this to either side hides any effect of a few per cent
CONFIDENCE = 0.95
ENOUGH = 6  # the range of n slices holds the true median with a chance of 1 - 2 * 0.5^n: 94 % of five, 97 % of six
TOO_FEW = (
    "Too few slices for a 95 % interval: low and high are their range, and A/A says nothing about noise; "
    "take six or more."
)


@dataclass(frozen=True)
class Slice(Generic[T]):
    """One slice of an arm, and what running it returned."""

    arm: str
    number: int
    value: T


@dataclass(frozen=True)
class Slices(Generic[T]):
    """All slices in the order in which they ran.

    `warnings` names what this machine refused: those arms have no slices.
    """

    taken: list[Slice[T]]
    seed: int
    warnings: list[str]

    def by_arm(self) -> dict[str, list[T]]:
        """Return what each arm's slices returned, in the order of their numbers; arms in the order of their first."""
        found: dict[str, list[T]] = {}
        for each in sorted(self.taken, key=lambda each: each.number):
            found.setdefault(each.arm, []).append(each.value)
        return found

    def frame(self) -> pd.DataFrame:
        """Return one row per slice where each slice returned a mapping: arm, slice, and its keys."""
        rows = [{"arm": each.arm, "slice": each.number, **cast("Mapping[str, Any]", each.value)} for each in self.taken]
        return pd.DataFrame(rows)


def interleaved(
    arms: Sequence[str],
    run: Callable[[str, Tick], T],
    *,
    slices: int,
    seed: int | None = None,
    progress: Progress | None = None,
    seconds: float = 0.0,
    refused_with: Callable[[str], str] = str,
) -> Slices[T]:
    """Run every arm `slices` times, interleaved.

    Parameters
    ----------
    arms : their names.
    run : runs one slice of an arm and returns what it found; it calls its second argument about ten times per second
        with the seconds gone by, so that the bar moves and Stop works during a long slice.
    slices : slices per arm, at least 1.
    seed : of the order; None draws one.
    progress : called before each slice, and from `run`.
    seconds : how long a slice is expected to take; 0 if nobody knows.
    refused_with : arm -> what a refusal of it concerns, such as its engine: all arms of that are left out then.

    Raises
    ------
    WorkloadUnable : this machine refuses every arm. If it refuses some, they are left out, and `warnings` says why.
    """
    slices = check_int("slices", slices, 1, 100_000, "slices")
    seed, report = check_seed(seed), progress or silent
    taken: list[Slice[T]] = []
    refused: dict[str, WorkloadUnable] = {}
    plan = order(list(arms), slices, seed)
    for done, (number, arm) in enumerate(plan):
        if refused_with(arm) in refused:
            continue
        tick = _ticks(report, done / len(plan), len(plan), seconds, f"{arm}: slice {number + 1} of {slices}")
        try:
            taken.append(Slice(arm, number, run(arm, tick)))
        except WorkloadUnable as error:
            refused[refused_with(arm)] = error
    if not taken:
        raise next(iter(refused.values()))
    return Slices(taken, seed, [f"{error.what} Fix: {error.fix}" for error in refused.values()])


def once(
    arms: Mapping[str, A],
    run: Callable[[A, Tick], T],
    *,
    progress: Progress | None = None,
    seconds: float = 0.0,
    warnings: list[str] | None = None,
) -> dict[str, T]:
    """Run every arm once, in order, and return what each returned: for counts, which need no repetition.

    Parameters
    ----------
    arms : name -> what `run` is given.
    run, progress, seconds : as of `interleaved`.
    warnings : where to say which arms this machine refuses: they are left out. None: a refusal ends it.

    Raises
    ------
    WorkloadUnable : this machine refuses every arm, or, without `warnings`, one of them.
    """
    report, found = progress or silent, dict[str, T]()
    refused: list[WorkloadUnable] = []
    for done, (name, arm) in enumerate(arms.items()):
        try:
            found[name] = run(arm, _ticks(report, done / len(arms), len(arms), seconds, name))
        except WorkloadUnable as error:
            refused.append(error)
            if warnings is None:
                break
    if refused and (warnings is None or not found):
        raise refused[0]
    if warnings is not None:
        warnings += dict.fromkeys(f"{error.what} Fix: {error.fix}" for error in refused)
    return found


def _ticks(report: Progress, start: float, parts: int, seconds: float, note: str) -> Tick:
    """Report the start of one part, and return what reports how far it is."""
    report(start, note)
    return lambda gone_s: report(start + (min(gone_s / seconds, 1.0) if seconds else 0.0) / parts, note)


def check_slices(slices: object, full: int, short: int, *, least: int = 2) -> int:
    """Return the number of slices: `full` (`short` under LABKIT_QUICK=1) if None, else checked, `least` to 1000."""
    return check_int("slices", quick(full, short) if slices is None else slices, least, 1000, "slices")


def compare(
    arms: Mapping[str, Callable[[], float]],
    *,
    baseline: str,
    slices: int = 10,
    seed: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Run every arm `slices` times, interleaved, and return what each slice measured.

    Parameters
    ----------
    arms : name -> a function that runs one slice and returns its value, in the same unit for each arm.
    baseline : the arm that the others are compared with; it runs a second time as "NAME (again)".
    slices : slices per arm, at least 2.
    seed : of the order; None draws one. It is kept in `attrs["seed"]`.
    progress : called before each slice.

    Returns a frame with the columns arm, slice, value; `attrs` holds baseline and seed.
    """
    check_choice("baseline", baseline, arms)
    slices = check_int("slices", slices, 2, 100_000, "slices")
    everyone = dict(arms) | {baseline + AGAIN: arms[baseline]}
    made = interleaved(
        list(everyone), lambda arm, _: {"value": float(everyone[arm]())}, slices=slices, seed=seed, progress=progress
    )
    return schema.frame(made.frame(), baseline=baseline, seed=made.seed)


def order(arms: list[str], slices: int, seed: int) -> list[tuple[int, str]]:
    """Return the (slice, arm) pairs in the order to run: random rounds, each followed by its mirror."""
    chance = random.Random(seed)
    plan: list[tuple[int, str]] = []
    for number in range(slices):
        if number % 2 == 0:
            chance.shuffle(arms := list(arms))
        else:
            arms = arms[::-1]
        plan += [(number, arm) for arm in arms]
    return plan


def ratios(frame: pd.DataFrame, baseline: str | None = None) -> pd.DataFrame:
    """Return each arm's median ratio to the baseline with its 95 % interval.

    Parameters
    ----------
    frame : as `compare` returns it: arm, slice, value.
    baseline : the arm in the denominator; None takes the frame's own.

    Returns a frame with the columns arm, ratio, low, high, slices. `attrs["warnings"]` tells when the A/A arm's
    interval excludes 1 or is wider than 10 %: then the machine was too noisy to believe a small effect; and when there
    are fewer than six slices: then low and high are the range of the slices, which holds the truth less often.
    """
    baseline = baseline or str(frame.attrs["baseline"])
    logs = frame.assign(value=np.log(frame["value"]))
    made = _against(logs, baseline).rename(columns={"difference": "ratio"})
    made[["ratio", "low", "high"]] = np.exp(made[["ratio", "low", "high"]])
    made.attrs["warnings"] = [*frame.attrs.get("warnings", []), *_ratio_warnings(made, baseline)]
    return made


def differences(frame: pd.DataFrame, baseline: str | None = None, *, unit: str = "") -> pd.DataFrame:
    """Return each arm's median difference from the baseline with its 95 % interval.

    Takes and returns what `ratios` does, with the column `difference` (in the unit of `value`) instead of `ratio`. The
    A/A arm's interval is to hold 0; how wide it is, is not judged. `unit` is named in the warning.
    """
    baseline = baseline or str(frame.attrs["baseline"])
    made = _against(frame, baseline)
    made.attrs["warnings"] = [*frame.attrs.get("warnings", []), *_difference_warnings(made, baseline, unit)]
    return made


def _against(frame: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Return each arm's median difference from the baseline with its interval, the A/A arm last."""
    wide = frame.pivot(index="slice", columns="arm", values="value")
    check_choice("baseline", baseline, list(wide.columns))
    rows = []
    for arm in dict.fromkeys(frame["arm"]):
        if arm != baseline:
            apart = (wide[arm] - wide[baseline]).dropna().to_numpy()
            middle, low, high = median_interval(apart)
            rows.append({"arm": arm, "difference": middle, "low": low, "high": high, "slices": len(apart)})
    rows.sort(key=lambda row: str(row["arm"]).endswith(AGAIN))
    return schema.frame(rows, baseline=baseline)


def added_ns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what each arm adds to a call of the baseline, from a frame with the columns arm, slice, ns_per_call.

    Returns a frame with one row per arm: arm, added_ns, low_ns, high_ns (its 95 % interval), slices.
    """
    slices = frame.assign(value=frame["ns_per_call"])[["arm", "slice", "value"]]
    made = differences(slices, str(frame.attrs["baseline"]), unit="ns")
    names = {"difference": "added_ns", "low": "low_ns", "high": "high_ns"}
    return schema.derived(made.rename(columns=names), frame, warnings=made.attrs["warnings"])


def added_ratio(frame: pd.DataFrame, arm: str, other: str, baseline: str | None = None) -> pd.Series:
    """Return what `arm` adds to the baseline, divided by what `other` adds to it, with its 95 % interval.

    Takes what `ratios` takes. Returns ratio, low, high, slices. Both differences are taken slice by slice, so what
    slows all arms of a round alike cancels out; the bootstrap draws whole rounds.
    """
    baseline = baseline or str(frame.attrs["baseline"])
    wide = frame.pivot(index="slice", columns="arm", values="value").dropna()
    for name, chosen in (("arm", arm), ("other", other), ("baseline", baseline)):
        check_choice(name, chosen, list(wide.columns))
    one, two = ((wide[name] - wide[baseline]).to_numpy() for name in (arm, other))

    def statistic(one: np.ndarray, two: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(np.median(one, axis=axis) / np.median(two, axis=axis))

    from scipy import stats  # here, because it takes longer to import than all the rest of the lab

    found = stats.bootstrap(
        [one, two],
        statistic,
        confidence_level=CONFIDENCE,
        n_resamples=2000,
        method="percentile",
        paired=True,
        rng=np.random.default_rng(0),
        vectorized=True,
    ).confidence_interval
    told: dict[str, Any] = {"ratio": float(statistic(one, two)), "low": found.low, "high": found.high}
    return pd.Series({**told, "slices": len(wide)})


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median of some values, one per slice, and its 95 % interval: (median, low, high).

    The interval rests on order statistics only: nothing is supposed of the distribution. Where no pair of them has
    exactly 95 %, it lies between two pairs (Hettmansperger and Sheather, 1986). Its coverage is tested by simulation;
    the percentile bootstrap of a median covers 90 % with eight slices. Of fewer than six values it is their range.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    count = len(ordered)
    if count == 0:
        return float("nan"), float("nan"), float("nan")
    middle, outer = float(np.median(ordered)), 1
    while outer + 1 <= count // 2 and _holds_median(count, outer + 1) >= CONFIDENCE:
        outer += 1
    wide, narrow = _holds_median(count, outer), _holds_median(count, outer + 1)
    part = 0.0
    if wide > CONFIDENCE:
        excess = (wide - CONFIDENCE) / (wide - narrow)
        part = (count - outer) * excess / (outer + (count - 2 * outer) * excess)
    low = (1 - part) * ordered[outer - 1] + part * ordered[min(outer, count - 1)]
    high = (1 - part) * ordered[count - outer] + part * ordered[max(count - outer - 1, 0)]
    return middle, float(low), float(high)


def interval(column: str, values: Sequence[float]) -> dict[str, float]:
    """Return the median of some values and its 95 % interval as columns of a frame: NAME, low_NAME, high_NAME."""
    return dict(zip((column, f"low_{column}", f"high_{column}"), median_interval(values), strict=True))


def quotient(over: Sequence[float], under: Sequence[float]) -> tuple[float, float, float]:
    """Return the quotient of two medians whose slices have no rounds in common: (ratio, low, high).

    Parameters
    ----------
    over, under : a median and the ends of its interval, as `median_interval` returns it; above 0.

    Low is the quotient of the nearest ends of the two intervals, high that of the farthest, so it covers more than
    95 %.
    """
    return over[0] / under[0], over[1] / under[2], over[2] / under[1]


def unsteady(values: Mapping[str, Sequence[float]], baseline: str) -> list[str]:
    """Return the warnings of the A/A arm: does the baseline differ from itself?

    Parameters
    ----------
    values : arm -> a value per slice, of the baseline and of its A/A arm.
    """
    rows = [
        {"arm": arm, "slice": number, "value": value}
        for arm, each in values.items()
        for number, value in enumerate(each)
    ]
    return [str(each) for each in ratios(pd.DataFrame(rows), baseline).attrs["warnings"]]


def _holds_median(count: int, rank: int) -> float:
    """Return how often the `rank`-th smallest and the `rank`-th largest of `count` values enclose the true median."""
    return float(1 - 2 * sum(math.comb(count, below) for below in range(rank)) / 2**count)


def _ratio_warnings(made: pd.DataFrame, baseline: str) -> list[str]:
    said = too_few(int(made["slices"].min()))
    for low, high in _again(made, baseline):
        if not said and not low <= 1 <= high:
            said.append(
                f"A/A: the same arm measured twice differs ({low:.3f} to {high:.3f}): the machine was not steady."
            )
        if max(high - 1, 1 - low) > WIDE:
            said.append(f"A/A: the interval is wide ({low:.3f} to {high:.3f}): take more slices or a quieter machine.")
    return said


def _difference_warnings(made: pd.DataFrame, baseline: str, unit: str) -> list[str]:
    said = too_few(int(made["slices"].min()))
    for low, high in _again(made, baseline):
        if not said and not low <= 0 <= high:
            apart = f"{low:.3g} to {high:.3g} {unit}".rstrip()
            said.append(f"A/A: the same arm measured twice differs by {apart}: the machine was not steady.")
    return said


def too_few(slices: int) -> list[str]:
    """Return the warning that intervals of so few slices need, if they need one."""
    return [TOO_FEW] if slices < ENOUGH else []


def _again(made: pd.DataFrame, baseline: str) -> list[tuple[float, float]]:
    """Return the interval of the A/A arm, if it has run."""
    again = made[made["arm"] == baseline + AGAIN]
    return list(zip(again["low"].astype(float), again["high"].astype(float), strict=True))
