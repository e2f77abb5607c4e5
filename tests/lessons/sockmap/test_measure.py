# SPDX-License-Identifier: Apache-2.0
"""Lesson 09's measurements, exercises and arguments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from labkit.errors import BadArgument, Missing, Stopped
from labkit.lessons import sockmap
from labkit.lessons.sockmap import exercises, live, servers
from labkit.lessons.sockmap.shortcut import lo_traffic
from labkit.lessons.sockmap.slices import SHORTCUT, TCP, UNIX
from labkit.machine.folders import repo_folder
from labkit.running import truths
from labkit.running.pinning import CROSS, SAME
from labkit.stats import trial

bpf = pytest.mark.bpf
pytestmark = pytest.mark.programs_kept


# -- the measurements -----------------------------------------------------------------------------------

QUICK = {"slices": 2, "slice_s": 0.01}


@bpf
def test_measure_has_a_row_for_every_slice_and_an_arm_against_itself() -> None:
    frame = sockmap.measure([64, 4096], SAME, **QUICK)
    counts = frame.groupby(["message_bytes", "arm"])["slice"].count()
    assert set(frame["arm"]) == {TCP, SHORTCUT, UNIX, f"{SHORTCUT} (again)"}
    assert (counts == 2).all() and len(counts) == 2 * 4
    assert frame.attrs["baseline"] == SHORTCUT and "kernel" in frame.attrs


@bpf
@pytest.mark.parametrize(
    "measure", [lambda: sockmap.measure([64], SAME, **QUICK), lambda: sockmap.throughput([4096], SAME, slices=2)]
)
def test_in_every_slice_redirects_equal_messages_or_are_none(measure: Callable[[], pd.DataFrame]) -> None:
    frame = measure()
    by_shortcut = frame["arm"].str.startswith(SHORTCUT)
    assert (frame.loc[by_shortcut, "redirects"] == frame.loc[by_shortcut, "messages"]).all()
    assert (frame.loc[~by_shortcut, "redirects"] == 0).all()
    assert (frame["misses"] == 0).all()


@bpf
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU only")
def test_pinning_is_where_the_program_says_it_ran() -> None:
    frame = sockmap.measure([64], [SAME, CROSS], **QUICK)
    here = frame["client_cpu"] == frame["server_cpu"]
    assert (here == (frame["pinning"] == SAME)).all()


@bpf
def test_ratios_have_an_interval_for_each_setting() -> None:
    frame = sockmap.measure([64, 4096], SAME, slices=3, slice_s=0.01)
    ratios = sockmap.ratios(frame)
    assert len(ratios) == 2 * 3
    assert (ratios["low"] <= ratios["ratio"]).all() and (ratios["ratio"] <= ratios["high"]).all()
    assert SHORTCUT not in set(ratios["arm"])
    assert ratios.attrs["warnings"].count(trial.TOO_FEW) == 1  # and not once a setting


@bpf
def test_medians_have_a_row_for_each_setting_and_arm_in_a_fixed_order() -> None:
    frame = sockmap.measure([4096, 64], SAME, **QUICK)
    medians = sockmap.medians(frame)
    arms = [TCP, SHORTCUT, UNIX, f"{SHORTCUT} (again)"]
    assert medians["arm"].tolist() == arms * 2
    assert medians["message_bytes"].tolist() == [4096] * 4 + [64] * 4
    first = frame[(frame["arm"] == TCP) & (frame["message_bytes"] == 4096)]
    assert medians["p50_ns"].iloc[0] == first["p50_ns"].median()


@bpf
def test_ipv6_is_measured_too() -> None:
    frame = sockmap.measure([64], SAME, ipv6=True, **QUICK)
    shortcut = frame[frame["arm"] == SHORTCUT]
    assert (shortcut["redirects"] == shortcut["messages"]).all()


@bpf
def test_stop_ends_a_long_slice_and_leaves_nothing() -> None:
    def press_stop(share: float, note: str) -> None:
        if "slice" in note and press_stop.calls > 3:  # type: ignore[attr-defined]
            raise Stopped
        press_stop.calls += 1  # type: ignore[attr-defined]

    press_stop.calls = 0  # type: ignore[attr-defined]
    with pytest.raises(Stopped):
        sockmap.measure([64], SAME, slices=2, slice_s=60, progress=press_stop)


@bpf
def test_live_follows_the_switch() -> None:
    plan: list[bool] = [False, True, True, False]
    seen: list[pd.DataFrame] = []

    def stop_after_four(share: float, note: str) -> None:
        if len(seen) == len(plan):
            raise Stopped

    frame = live.live(lambda: plan[len(seen) % 4], seen.append, seconds=3600, window_s=0.11, progress=stop_after_four)
    assert frame["arm"].tolist() == [TCP, SHORTCUT, SHORTCUT, TCP]
    assert frame["redirects"].tolist() == [m if on else 0 for m, on in zip(frame["messages"], plan, strict=True)]
    assert [len(part) for part in seen] == [1, 2, 3, 4]


@bpf
def test_live_that_is_stopped_before_its_first_window_has_nothing_to_return() -> None:
    def stop(share: float, note: str) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        live.live(lambda: False, window_s=0.3, progress=stop)


@bpf
def test_live_ends_after_the_seconds_that_were_asked_for() -> None:
    """By the clock: starting the processes of each window takes time too."""
    elapsed_s = live.live(lambda: False, seconds=0.3, window_s=0.01)["elapsed_s"]
    assert (elapsed_s.iloc[:-1] < 0.3).all() and elapsed_s.iloc[-1] >= 0.3
    assert elapsed_s.iloc[0] > 0.01


@bpf
def test_lo_traffic_is_what_ip_tells() -> None:
    script = "ip link set lo up; ping -c 1 127.0.0.1 > /dev/null 2>&1; ip -j -s link show lo; "
    script += f"{sys.executable} -c 'from labkit.lessons.sockmap.shortcut import *; print(lo_traffic().packets)'"
    done = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, cwd=repo_folder())
    told, ours = done.stdout.splitlines()
    assert json.loads(told)[0]["stats64"]["rx"]["packets"] == int(ours)
    assert lo_traffic().bytes > 0 or lo_traffic().packets == 0


# -- riddles --------------------------------------------------------------------------------------------


@bpf
def test_the_round_trips_can_be_worked_out_from_the_counters() -> None:
    row = exercises.how_many_round_trips().iloc[0]
    greetings = row["inserts"] // 2
    assert (row["redirects"] - greetings) // 2 == truths.expected("09-q1")


@bpf
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU only")
def test_the_odd_run_shows_in_the_cpus() -> None:
    frame = exercises.which_run_is_odd(200)
    odd = frame.loc[frame["client_cpu"] != frame["server_cpu"], "run"]
    assert odd.tolist() == [truths.expected("09-q2")]


@bpf
def test_the_room_is_the_sockets_that_went_in() -> None:
    row = exercises.how_much_room().iloc[0]
    assert row["inserts"] == truths.expected("09-q3")
    assert row["inserts"] + row["insert_failures"] == 2 * row["connections"]
    assert row["redirects"] + row["misses"] + row["unseen_messages"] == row["messages"]
    assert (row["unseen_messages"] > 0) == (row["insert_failures"] > 0)


# -- bad input: nothing has been started ----------------------------------------------------------------

BAD = [
    (sockmap.measure, {"message_bytes": [0]}, "message_bytes=0 is not allowed"),
    (sockmap.measure, {"message_bytes": []}, r"message_bytes=\[\] is not allowed"),
    (sockmap.measure, {"message_bytes": [64, 2**21]}, "message_bytes=2097152 is not allowed"),
    (sockmap.measure, {"message_bytes": ["big"]}, "message_bytes='big' is not allowed"),
    (sockmap.measure, {"pinning": "same cor"}, "did you mean 'same core'"),
    (sockmap.measure, {"pinning": []}, r"pinning=\[\] is not allowed"),
    (sockmap.measure, {"connections": 0}, "connections=0 is not allowed"),
    (sockmap.measure, {"slices": 1}, "slices=1 is not allowed"),
    (sockmap.measure, {"slice_s": 0}, "slice_s=0 is not allowed"),
    (sockmap.measure, {"slice_s": float("nan")}, "slice_s=nan is not allowed"),
    (sockmap.throughput, {"message_bytes": 0}, "message_bytes=0 is not allowed"),
    (sockmap.throughput, {"pinning": "both"}, "pinning='both' is not known"),
    (sockmap.throughput, {"connections": 1025}, "connections=1025 is not allowed"),
    (sockmap.throughput, {"slices": True}, "slices=True is not allowed"),
    (sockmap.proof, {"round_trips": 0}, "round_trips=0 is not allowed"),
    (sockmap.integrity, {"total_bytes": 0}, "total_bytes=0 is not allowed"),
    (sockmap.integrity, {"connections": -1}, "connections=-1 is not allowed"),
    (sockmap.integrity, {"max_sockets": 1}, "max_sockets=1 is not allowed"),
    (sockmap.integrity, {"seed": 0}, "seed=0 is not allowed"),
    (live.live, {"switch": bool, "message_bytes": 0}, "message_bytes=0 is not allowed"),
    (live.live, {"switch": bool, "pinning": "nowhere"}, "pinning='nowhere' is not known"),
    (live.live, {"switch": bool, "seconds": 0}, "seconds=0 is not allowed"),
    (live.live, {"switch": bool, "window_s": 11}, "window_s=11 is not allowed"),
    (servers.measure, {"pipeline": 0}, "pipeline=0 is not allowed"),
    (servers.measure, {"pipeline": []}, r"pipeline=\[\] is not allowed"),
    (servers.measure, {"pinning": "same"}, "pinning='same' is not known"),
    (servers.measure, {"clients": 0}, "clients=0 is not allowed"),
    (servers.measure, {"requests": 3}, "requests=3 is not allowed"),
    (servers.measure, {"value_bytes": 0}, "value_bytes=0 is not allowed"),
    (servers.measure, {"slices": 0}, "slices=0 is not allowed"),
]


@pytest.mark.parametrize(("experiment", "arguments", "message"), BAD)
def test_a_bad_argument_is_named_before_anything_starts(
    experiment: Callable[..., Any], arguments: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with pytest.raises(BadArgument, match=message):
        experiment(**arguments)


def test_one_cpu_is_no_place_for_cross_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with pytest.raises(Missing, match="one CPU only"):
        sockmap.measure([64], CROSS)
    with pytest.raises(Missing, match="two CPUs"):
        exercises.which_run_is_odd()
