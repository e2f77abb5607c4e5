# SPDX-License-Identifier: Apache-2.0
"""Interleaving is balanced, and an interval covers what it should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench import coverage
from labkit.errors import BadArgument, Stopped, WorkloadUnable
from labkit.stats import trial


def test_each_arm_runs_once_in_each_slice() -> None:
    plan = trial.order(["a", "b", "c"], 6, seed=1)
    for number in range(6):
        assert sorted(arm for slice_number, arm in plan if slice_number == number) == ["a", "b", "c"]


def test_every_second_round_mirrors_the_one_before() -> None:
    plan = [arm for _, arm in trial.order(["a", "b", "c"], 4, seed=1)]
    assert plan[3:6] == plan[0:3][::-1]
    assert plan[9:12] == plan[6:9][::-1]


def test_the_mean_place_of_every_arm_is_the_same() -> None:
    places: dict[str, list[int]] = {}
    for place, (_, arm) in enumerate(trial.order(["a", "b", "c", "d"], 8, seed=7)):
        places.setdefault(arm, []).append(place)
    assert len({np.mean(place) for place in places.values()}) == 1


def test_the_baseline_runs_a_second_time_as_the_aa_arm() -> None:
    frame = trial.compare({"slow": lambda: 2.0, "fast": lambda: 1.0}, baseline="slow", slices=3)
    assert frame.groupby("arm").size().to_dict() == {"slow": 3, "fast": 3, "slow (again)": 3}


def test_a_drift_of_the_machine_does_not_move_the_ratio() -> None:
    clock = iter(np.linspace(1, 5, 1000))  # the machine gets five times slower while we measure
    frame = trial.compare(
        {"a": lambda: float(next(clock)), "b": lambda: 2 * float(next(clock))}, baseline="a", slices=40, seed=3
    )
    row = trial.ratios(frame).set_index("arm").loc["b"]
    assert row["low"] <= 2.0 <= row["high"] or row["ratio"] == pytest.approx(2.0, rel=0.02)


def test_the_interval_covers_the_true_ratio_about_as_often_as_it_says() -> None:
    chance = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        noise = chance.lognormal(0, 0.2, size=(2, 20))
        rows = [
            {"arm": arm, "slice": number, "value": base * noise[row, number]}
            for row, (arm, base) in enumerate([("a", 1.0), ("b", 1.5)])
            for number in range(20)
        ]
        made = trial.ratios(pd.DataFrame(rows), "a").iloc[0]
        covered += made["low"] <= 1.5 <= made["high"]
    assert 0.88 <= covered / 200 <= 0.995


def test_an_unsteady_machine_is_said() -> None:
    values = iter([1.0, 2.0] * 20)
    frame = pd.DataFrame(
        [{"arm": arm, "slice": number, "value": next(values)} for number in range(20) for arm in ("a", "a (again)")]
    )
    made = trial.ratios(frame, "a")
    assert any("A/A" in warning for warning in made.attrs["warnings"])


def test_differences_carry_their_interval() -> None:
    frame = trial.compare({"a": lambda: 10.0, "b": lambda: 13.0}, baseline="a", slices=4)
    row = trial.differences(frame).set_index("arm").loc["b"]
    assert (row["difference"], row["low"], row["high"]) == (3.0, 3.0, 3.0)


def test_stop_ends_a_trial() -> None:
    def stop(share: float, note: str) -> None:
        if share > 0.5:
            raise Stopped

    ran: list[int] = []
    with pytest.raises(Stopped):
        trial.compare({"a": lambda: ran.append(1) or 1.0}, baseline="a", slices=10, progress=stop)  # type: ignore[func-returns-value]
    assert 0 < len(ran) < 20


@pytest.mark.parametrize(("bad", "told"), [({"slices": 1}, "slices=1"), ({"baseline": "z"}, "baseline='z'")])
def test_bad_arguments_are_named(bad: dict[str, object], told: str) -> None:
    arguments: dict[str, object] = {"baseline": "a", "slices": 2} | bad
    with pytest.raises(BadArgument, match=told):
        trial.compare({"a": lambda: 1.0}, **arguments)  # type: ignore[arg-type]


def synthetic(levels: dict[str, float], slices: int = 30, noise: float = 0.1, seed: int = 2) -> pd.DataFrame:
    """Slices of arms whose true levels are known; what slows a round slows all arms of it."""
    chance = np.random.default_rng(seed)
    rounds = chance.lognormal(0, 0.3, slices)
    rows = [
        {"arm": arm, "slice": number, "value": level * rounds[number] * chance.lognormal(0, noise)}
        for arm, level in levels.items()
        for number in range(slices)
    ]
    return pd.DataFrame(rows)


def test_what_two_arms_add_is_compared_by_its_known_ratio() -> None:
    frame = synthetic({"bare": 1000, "lab": 1300, "peer": 1600}, slices=200, noise=0.02)
    told = trial.added_ratio(frame, "lab", "peer", "bare")
    assert told["low"] <= 0.5 <= told["high"]
    assert told["high"] - told["low"] < 0.2
    assert told["slices"] == 200


def test_the_interval_of_what_is_added_covers_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(100):
        told = trial.added_ratio(synthetic({"bare": 1000, "lab": 1500, "peer": 2000}, seed=seed), "lab", "peer", "bare")
        covered += told["low"] <= 0.5 <= told["high"]
    assert covered >= 85


@pytest.mark.parametrize("compared", [trial.ratios, trial.differences])
@pytest.mark.parametrize("slices", range(2, 8))
def test_fewer_than_six_slices_have_a_range_and_no_verdict_on_noise(compared: Any, slices: int) -> None:
    frame = synthetic({"a": 1.0, "b": 2.0, "a" + trial.AGAIN: 1.05}, slices=slices, noise=0.001)
    said = compared(frame, "a").attrs["warnings"]
    assert [trial.TOO_FEW in said, any("twice differs" in each for each in said)] == [slices < 6, slices >= 6]


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("slices", [trial.ENOUGH, 8, 15])
def test_the_interval_of_a_ratio_of_quantiles_covers_as_often_as_it_says(slices: int, noise: float) -> None:
    chance, trials = np.random.default_rng(17), 1200
    covered = sum(coverage.holds(chance, slices, noise) for _ in range(trials))
    assert 0.93 - 0.012 <= covered / trials <= 0.97 + 0.012  # two standard errors of 1200 trials


def test_of_fewer_than_six_slices_the_interval_is_their_range() -> None:
    for values in ([3.0], [1.0, 4.0], [5.0, 1.0, 2.0, 4.0, 3.0]):
        assert trial.median_interval(values)[1:] == (min(values), max(values))
    assert trial.median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])[1] > 1.0


def test_differences_of_an_unsteady_machine_are_said_in_their_unit() -> None:
    frame = synthetic({"a": 1000, "b": 2000, "a" + trial.AGAIN: 1050}, slices=100, noise=0.01)
    (said,) = trial.differences(frame, "a", unit="ns").attrs["warnings"]
    assert said.startswith("A/A: the same arm measured twice differs by ") and " ns: " in said
    steady = synthetic({"a": 1000, "b": 2000, "a" + trial.AGAIN: 1000}, slices=60, noise=0.01, seed=4)
    assert trial.differences(steady, "a").attrs["warnings"] == []


@pytest.mark.parametrize("compared", [trial.ratios, trial.differences])
def test_what_the_frame_warns_of_is_kept_once(compared: Any) -> None:
    frame = synthetic({"a": 1.0, "a" + trial.AGAIN: 1.0}, slices=3)
    frame.attrs["warnings"] = ["one CPU"]
    assert compared(frame, "a").attrs["warnings"][:2] == ["one CPU", trial.TOO_FEW]


def test_an_arm_that_is_not_there_is_named() -> None:
    with pytest.raises(BadArgument, match="other='strace'"):
        trial.added_ratio(synthetic({"bare": 1, "lab": 2}), "lab", "strace", "bare")


def test_a_biased_machine_is_said_though_its_interval_is_narrow() -> None:
    frame = synthetic({"a": 1.0, "a" + trial.AGAIN: 1.05}, slices=100, noise=0.01)
    said = trial.ratios(frame, "a").attrs["warnings"]
    assert len(said) == 1 and "differs" in said[0]


def test_a_steady_machine_is_not_complained_of() -> None:
    frame = synthetic({"a": 1.0, "b": 2.0, "a" + trial.AGAIN: 1.0}, slices=60, noise=0.01, seed=4)
    assert trial.ratios(frame, "a").attrs["warnings"] == []


def test_the_median_of_a_few_values_has_an_interval_that_holds_it() -> None:
    middle, low, high = trial.median_interval([1, 2, 3, 4, 100])
    assert (middle, low, high) == (3, pytest.approx(low), pytest.approx(high))
    assert 1 <= low <= 3 <= high <= 100


def test_interleaved_slices_run_every_arm_as_often_as_asked() -> None:
    made = trial.interleaved(["a", "b", "c"], lambda arm, _: arm * 2, slices=5, seed=1)
    assert made.by_arm() == {arm: [arm * 2] * 5 for arm in made.by_arm()}
    assert sorted(made.by_arm()) == ["a", "b", "c"]


def test_what_a_slice_returns_becomes_its_row() -> None:
    frame = trial.interleaved(["a", "b"], lambda arm, _: {"value": ord(arm)}, slices=2, seed=1).frame()
    assert (frame["value"] == frame["arm"].map(ord)).all()
    assert frame.groupby("arm")["slice"].apply(sorted).tolist() == [[0, 1], [0, 1]]


def test_a_refused_arm_is_left_out_with_all_that_shares_its_reason() -> None:
    tried = []

    def run(arm: str, _: object) -> int:
        tried.append(arm)
        if arm.startswith("libaio"):
            raise WorkloadUnable("No libaio here.", "take another kernel")
        return 1

    made = trial.interleaved(
        ["sync", "libaio 1", "libaio 2"], run, slices=3, seed=1, refused_with=lambda arm: arm.split()[0]
    )
    assert made.by_arm() == {"sync": [1, 1, 1]}
    assert made.warnings == ["No libaio here. Fix: take another kernel"]
    assert sum(arm.startswith("libaio") for arm in tried) == 1


def test_if_every_arm_is_refused_the_reason_is_raised() -> None:
    def run(arm: str, _: object) -> int:
        raise WorkloadUnable("Nothing works here.", "take another kernel")

    with pytest.raises(WorkloadUnable, match="Nothing works"):
        trial.interleaved(["a", "b"], run, slices=2)


def test_a_tick_moves_the_bar_within_its_slice() -> None:
    shares = []

    def run(arm: str, tick: Callable[[float], None]) -> None:
        tick(0.5)
        tick(99.0)

    trial.interleaved(["a", "b"], run, slices=1, seconds=1.0, progress=lambda share, _: shares.append(share))
    assert shares == [0.0, 0.25, 0.5, 0.5, 0.75, 1.0]


def test_once_runs_each_arm_in_order_and_moves_the_bar() -> None:
    shares = []

    def run(arm: int, tick: Callable[[float], None]) -> int:
        tick(0.5)
        return arm * 2

    made = trial.once({"b": 1, "a": 2}, run, seconds=1.0, progress=lambda share, note: shares.append((share, note)))
    assert list(made.items()) == [("b", 2), ("a", 4)]
    assert shares == [(0.0, "b"), (0.25, "b"), (0.5, "a"), (0.75, "a")]


def test_once_ends_at_the_first_refusal() -> None:
    def run(arm: str, _: object) -> int:
        if arm == "io_uring":
            raise WorkloadUnable("No io_uring here.", "take another kernel")
        return 1

    with pytest.raises(WorkloadUnable, match="No io_uring"):
        trial.once({name: name for name in ("plain", "io_uring")}, run)
