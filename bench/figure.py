# SPDX-License-Identifier: Apache-2.0
"""One figure of the bench: a ratio, its interval, what it was made from; and the step that measures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bench.goals import GOALS
from labkit.running.lock import exclusive
from labkit.running.progress import Progress, Tick
from labkit.stats import trial

__all__ = ["Figure", "Step", "compare", "ratio", "rounds"]


@dataclass(frozen=True)
class Figure:
    """A ratio with its 95 % interval. `frame` has each slice's (arm, slice, value); `warnings` name its noise."""

    name: str
    ratio: float
    low: float
    high: float
    slices: int
    warnings: list[str] = field(default_factory=list)
    frame: pd.DataFrame | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def meets(self) -> bool | None:
        return GOALS[self.name].met(self.low, self.high)

    @property
    def near(self) -> bool:
        return GOALS[self.name].near(self.low, self.high)

    def row(self) -> dict[str, Any]:
        """Return it as build/bench.json has it."""
        goal = GOALS[self.name]
        bound = list(goal.bound) if isinstance(goal.bound, tuple) else goal.bound
        return {
            "name": self.name,
            "unit": goal.unit,
            "ratio": float(self.ratio),
            "low": float(self.low),
            "high": float(self.high),
            "better": goal.better,
            "goal": bound,
            "meets": self.meets,
            "slices": int(self.slices),
        }


@dataclass(frozen=True)
class Step:
    """Figures that are measured together. `peers` are the programs it compares with, `seconds` how long it may take."""

    names: tuple[str, ...]
    measure: Callable[[Progress], list[Figure]]
    seconds: float
    peers: tuple[str, ...] = ()


def rounds(
    purpose: str,
    arms: Mapping[str, Callable[[], Mapping[str, float]]],
    *,
    baseline: str,
    slices: int,
    progress: Progress,
) -> pd.DataFrame:
    """Run all arms interleaved (`labkit.stats.trial`), each slice alone on the machine.

    Parameters
    ----------
    arms : name -> a function that runs one slice and returns what it measured, by name.

    Returns a frame with the columns arm, slice and what was measured; `attrs["baseline"]` is the baseline.
    """

    def alone(arm: str, _: Tick) -> Mapping[str, float]:
        # slice by slice, so that whoever waits gets its turn between two; the end of a slice is not that of all
        with exclusive(purpose, lambda share, note: progress(share, note) if share < 1 else None):
            return arms[arm.removesuffix(trial.AGAIN)]()

    made = trial.interleaved([*arms, baseline + trial.AGAIN], alone, slices=slices, progress=progress).frame()
    made.attrs["baseline"] = baseline
    return made


def ratio(name: str, frame: pd.DataFrame, column: str, arm: str, baseline: str | None = None, **facts: Any) -> Figure:
    """Return the figure "median of column, arm / baseline" from a frame of `rounds` or of an experiment."""
    baseline = baseline or str(frame.attrs["baseline"])
    values = frame.assign(value=frame[column])[["arm", "slice", "value"]]
    found = trial.ratios(values, baseline)
    row = found.set_index("arm").loc[arm].to_dict()
    interval = float(row["ratio"]), float(row["low"]), float(row["high"])
    again = found.loc[found["arm"] == baseline + trial.AGAIN, ["low", "high"]].round(4).to_numpy().tolist()
    told = {**({"again": again[0]} if again else {}), **facts}  # what the same machine shows where nothing differs
    return Figure(name, *interval, int(row["slices"]), found.attrs["warnings"], values, told)


def compare(
    name: str,
    arms: Mapping[str, Callable[[], float]],
    *,
    arm: str,
    baseline: str,
    slices: int,
    progress: Progress,
    **facts: Any,
) -> Figure:
    """Measure one figure: the ratio of what two arms return, interleaved."""
    each = {key: (lambda run=run: {"value": run()}) for key, run in arms.items()}  # type: ignore[misc]
    frame = rounds(f"bench: {name}", each, baseline=baseline, slices=slices, progress=progress)
    return ratio(name, frame, "value", arm, **facts)
