# SPDX-License-Identifier: Apache-2.0
"""Lesson 04's claims: every mechanism that works here counts the same prime number; the others give the reason."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import labkit.bpf.program as engine
from labkit.bpf.stacks import PYTHON_MARK
from labkit.errors import AttachError, BadArgument, Missing
from labkit.lessons import probes
from labkit.lessons.probes import mechanisms
from labkit.machine.doctor import events
from labkit.running import truths
from labkit.running.workload import Workload

bpf = pytest.mark.bpf
pytestmark = pytest.mark.programs_kept
COUNTERS = [name for name in probes.MECHANISMS if name != "timer"]


@bpf
@pytest.mark.parametrize("mechanism", COUNTERS)
def test_a_mechanism_counts_the_prime_number_at_both_ends_or_says_why_not(mechanism: str) -> None:
    row = probes.measure(997, [mechanism]).iloc[0]
    if row["state"] == "ok":
        assert row[["calls", "at_entry", "at_return"]].tolist() == [997, 997, 997]
    else:
        assert row["state"] in ("missing", "refused")
        assert row["reason"]
        assert row[["at_entry", "at_return"]].tolist() == [0, 0]


@bpf
@pytest.mark.kernel
@pytest.mark.parametrize(("mechanism", "witness"), [("kprobe", events.kprobes), ("fentry", events.fentry)])
def test_what_the_doctor_finds_is_counted(mechanism: str, witness: Callable[[], Any]) -> None:
    try:
        found = witness()
    except (OSError, Missing) as error:
        pytest.skip(str(error))
    if found.state != "ok":
        pytest.skip(f"{mechanism} is {found.state} here: {found.reason}")
    assert probes.measure(997, [mechanism])["at_entry"].tolist() == [997]


@bpf
@pytest.mark.parametrize("mechanism", ["tracepoint", "raw tracepoint", "uprobe"])
def test_these_three_need_nothing_but_bpf(mechanism: str) -> None:
    assert probes.measure(23, [mechanism])["state"].tolist() == ["ok"]


@bpf
@pytest.mark.parametrize("end", list(probes.ENDS))
def test_a_probe_at_one_end_counts_that_end_only(end: str) -> None:
    with engine.Program("probes", flags={"MECHANISM": 1, "ENDS": probes.ENDS[end]}) as program:
        with mechanisms.Workload("probes", ["--calls", "31"]) as run:
            program.aim(pid=run.pid)
            program.attach()
            run.go()
        expected = {"entry": [31, 0], "return": [0, 31], "both": [31, 31]}[end]
        assert program.counters("hits").tolist() == expected


@bpf
def test_the_timer_counts_ticks_and_not_calls() -> None:
    row = probes.measure(23, "timer").iloc[0]
    assert row["state"] == "ok"
    assert row["at_return"] == 0
    assert "tick" in row["reason"]


@bpf
def test_the_cost_table_has_every_arm_with_its_interval_and_the_reason_of_the_absent() -> None:
    frame = probes.cost(calls=101, ends=["entry"], slices=3, seed=1)
    table = probes.added(frame).set_index("arm")
    measured = table[table["slices"] > 0]
    assert {"tracepoint at entry", "raw tracepoint at entry", "uprobe at entry", "nothing (again)"} <= set(
        measured.index
    )
    assert (measured["low_ns"] <= measured["added_ns"]).all()
    assert (measured["added_ns"] <= measured["high_ns"]).all()
    absent = table[table["slices"] == 0]
    assert set(absent.index) == set(frame.attrs["absent"])
    assert absent["reason"].str.contains("missing|refused").all()
    everybody = {name.partition(" at ")[0] for name in table.index}
    assert set(probes.MECHANISMS) <= everybody


@bpf
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_strace_is_an_arm_and_leaves_no_process() -> None:
    frame = probes.cost(calls=101, mechanisms=["tracepoint"], ends=["entry"], slices=2)
    assert set(frame.loc[frame["arm"] == "strace", "calls"]) == {101}
    told = subprocess.run(["ps", "-C", "strace", "-o", "args="], capture_output=True, text=True, check=False)
    assert "trace=getppid -o /dev/null" not in told.stdout


@bpf
def test_a_strace_that_may_not_follow_a_process_is_left_out_before_the_first_slice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused = "strace: attach: ptrace(PTRACE_SEIZE, 23): Operation not permitted"
    script = f'#!/bin/sh\n[ "$1" = --version ] && echo 6.1 && exit\necho "{refused}" >&2\nexit 1\n'
    (tmp_path / "strace").write_text(script)
    (tmp_path / "strace").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    frame = probes.cost(calls=101, mechanisms=["tracepoint"], ends=["entry"], slices=2)
    assert set(frame["arm"]) == {"nothing", "tracepoint at entry", "nothing (again)"}
    assert frame.attrs["absent"]["strace"].startswith("refused: it may not follow a process: attach: ptrace")
    assert "refused" in probes.added(frame).set_index("arm").loc["strace", "reason"]


@bpf
def test_noise_is_told() -> None:
    frame = probes.cost(calls=101, mechanisms=["timer"], strace=False, slices=6)
    again = frame["arm"] == "nothing (again)"
    frame.loc[again, "ns_per_call"] = frame.loc[frame["arm"] == "nothing", "ns_per_call"].max() * 10
    (warning,) = probes.added(frame).attrs["warnings"]
    assert warning.startswith("A/A: the same arm measured twice differs by ") and " ns: " in warning


def test_nm_and_objdump_tell_what_can_be_probed() -> None:
    frame = probes.look().set_index("function")
    assert frame["symbol"].to_dict() == {"visible": "yes", "half_hidden": "yes", "hidden": "no"}
    assert frame["call_instructions"].to_dict() == {"visible": 1, "half_hidden": 0, "hidden": 0}


def test_kallsyms_tells_what_the_kernel_has() -> None:
    frame = probes.look_kernel(["vfs_read", "no_such_function_here"]).set_index("function")
    assert frame["symbol"].to_dict() == {"vfs_read": "yes", "no_such_function_here": "no"}


@bpf
def test_a_probe_misses_inlined_calls_or_is_refused() -> None:
    frame = probes.inlined(calls=23, through_pointer=7).set_index("function")
    assert set(frame["calls"]) == {23}
    assert frame["count"].to_dict() == {"visible": 23, "half_hidden": 7, "hidden": 0}
    assert frame["state"].to_dict() == {"visible": "ok", "half_hidden": "ok", "hidden": "refused"}
    assert "hidden" in frame.loc["hidden", "reason"]


@bpf
def test_a_symbol_that_is_not_there_is_named_and_nothing_is_attached() -> None:
    with engine.Program("probes", flags={"MECHANISM": 5, "ENDS": 1}) as program:
        with pytest.raises(AttachError, match="no_such_function"):
            program.attach_uprobe("on_entry", mechanisms.Workload("probes").command[0], "no_such_function")


@bpf
def test_decorator_and_uprobe_pair_see_the_same_arguments_and_results() -> None:
    frame = probes.decorated(calls=7, nap_us=300)
    for _, rows in frame.groupby("arm"):
        assert rows["argument"].tolist() == [300, 600, 900, 300, 600, 900, 300]
        assert (rows["returned"] == 2 * rows["argument"]).all()
        assert (rows["latency_ns"] >= 1000 * rows["argument"]).all()
    assert frame["arm"].nunique() == 2


@bpf
def test_the_flame_knows_the_functions_and_the_shares() -> None:
    frame = probes.flame(0.3, apple=70, pear=10, plum=5)
    clocks = frame.groupby("function")["clocked_ns"].first()
    assert clocks["apple"] > clocks["kernel"] > 0
    assert (frame.loc[frame["function"] == "pear", "stack"].str.contains(";work_burn;pear")).all()
    totals = {name: frame.loc[frame["stack"].str.contains(f";{name}"), "count"].sum() for name in ("apple", "pear")}
    assert totals["apple"] > totals["pear"]
    assert frame.attrs["lost_events"] == 0


@bpf
def test_the_busy_fruit_is_the_one_that_the_exercise_asks_for() -> None:
    frame = probes.busy_fruit(0.3)
    totals = {
        name: frame.loc[frame["stack"].str.contains(f";work_burn;{name}"), "count"].sum()
        for name in ("apple", "pear", "plum")
    }
    assert truths.expected("04-q3") == max(totals, key=lambda name: totals[name])
    assert "60" not in str(frame.attrs["command"])


@bpf
def test_the_first_result_is_twice_the_hidden_argument() -> None:
    frame = probes.nap_mystery()
    assert int(frame["returned"].iloc[0]) == 2 * int(str(truths.expected("04-q2")))


@bpf
def test_the_difference_of_the_counts_is_what_the_probe_missed() -> None:
    counts = probes.hidden().set_index("function")["count"]
    assert counts["visible"] - counts["half_hidden"] == truths.expected("04-q1")


@bpf
def test_python_functions_are_named_or_each_interpreter_says_why_not() -> None:
    before = set(Path("/tmp").glob("perf-*.map"))
    try:
        frame = probes.python_flame(0.3)
    except Missing as error:
        assert sys.executable in error.detail
        known = ("3.12", "frame pointers", "does not start", "without -X perf")
        assert all(any(reason in line for reason in known) for line in error.detail.splitlines())
    else:
        assert frame["stack"].str.contains(f"{PYTHON_MARK}apple").any()
    assert not set(Path("/tmp").glob("perf-*.map")) - before


def test_a_python_that_does_not_start_is_not_called_old(tmp_path: Path) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    with pytest.raises(Missing) as raised:
        probes.python_flame(0.1, interpreter=str(shim))
    assert "it does not start" in raised.value.detail
    assert "older" not in raised.value.detail


def test_the_names_of_the_arms_have_no_commas() -> None:
    assert [place for place in mechanisms.PLACES.values() if "," in place] == []


BAD = [
    (probes.measure, {"calls": 0}, "calls"),
    (probes.measure, {"mechanisms": []}, "mechanisms"),
    (probes.measure, {"mechanisms": ["kprob"]}, "did you mean 'kprobe'"),
    (probes.cost, {"calls": 99}, "calls"),
    (probes.cost, {"slices": 1}, "slices"),
    (probes.cost, {"ends": ["middle"]}, "ends"),
    (probes.cost, {"ends": []}, "ends"),
    (probes.cost, {"mechanisms": "usdt"}, "mechanisms"),
    (probes.inlined, {"calls": 0}, "calls"),
    (probes.inlined, {"through_pointer": 24}, "through_pointer"),
    (probes.look, {"functions": []}, "functions"),
    (probes.look_kernel, {"functions": [1]}, "functions"),
    (probes.decorated, {"calls": 0}, "calls"),
    (probes.decorated, {"nap_us": 0}, "nap_us"),
    (probes.flame, {"seconds": 0}, "seconds"),
    (probes.flame, {"hz": 0}, "hz"),
    (probes.flame, {"apple": 101}, "apple"),
    (probes.flame, {"apple": 60, "pear": 60}, "apple=60, pear=60 and plum=10 are more than 100 per cent together"),
    (probes.python_flame, {"seconds": 61}, "seconds"),
    (probes.python_flame, {"hz": "fast"}, "hz"),
]


@pytest.mark.parametrize(("function", "arguments", "said"), BAD)
def test_a_bad_argument_is_named_and_nothing_is_started(
    function: Callable[..., Any], arguments: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workload, "__enter__", lambda self: pytest.fail(f"{self} was started"))
    with pytest.raises(BadArgument) as caught:
        function(**arguments)
    assert said in str(caught.value)
