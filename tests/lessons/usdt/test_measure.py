# SPDX-License-Identifier: Apache-2.0
"""Lesson 05: counts are the program's own, arguments arrive whole, the code changes and is restored."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from witness import bpftrace

from labkit.errors import BadArgument, LabkitError, Missing, Stopped
from labkit.lessons import usdt
from labkit.lessons.usdt import live, others
from labkit.lessons.usdt.overhead import ARMS
from labkit.running import truths
from labkit.running.workload import Workload, build
from labkit.stats import trial

pytestmark = [pytest.mark.bpf, pytest.mark.programs_kept]

PROBES = ["request_start", "request_detail", "request_done"]


def own_counts(frame: Any) -> dict[str, int]:
    """Return what the program counted, by probe."""
    assert (frame.groupby("probe")["fired"].nunique() == 1).all()
    return frame.groupby("probe")["fired"].first().to_dict()  # type: ignore[no-any-return]


def own_report(program: Path | str, *arguments: object) -> dict[str, Any]:
    """Return what a program reports about the same work without a listener."""
    with Workload(program, [str(word) for word in arguments]) as run:
        return run.go()


def count_by_probe(frame: object) -> dict[str, int]:
    return frame["probe"].value_counts().to_dict()  # type: ignore[index,no-any-return]


@pytest.mark.parametrize("requests", [1, 101, 2003])
def test_counts_equal_the_programs_own(requests: int) -> None:
    frame = usdt.measure(requests, 0, PROBES)
    assert count_by_probe(frame) == dict.fromkeys(PROBES, requests) == own_counts(frame)
    assert frame.attrs["lost_events"] == 0


def test_only_the_chosen_probes_are_listened_to() -> None:
    frame = usdt.measure(23, 0, ["request_done"])
    assert count_by_probe(frame) == {"request_done": 23}
    assert own_counts(frame) == {"request_done": 23}


def test_integers_arrive_whole_the_negative_ones_too() -> None:
    frame = usdt.measure(101, 0)
    done = frame[frame["probe"] == "request_done"]
    assert done["request"].tolist() == list(range(1, 102))
    assert Counter(done["status"]) == {200: 87, -2: 14}
    assert own_report(live.server(), "--requests", 101, "--work-ns", 0)["failed"] == 14


def test_a_probe_leaves_a_gap_where_it_has_no_argument() -> None:
    frame = usdt.measure(23, 5_000)
    assert frame.groupby("probe")[["body_bytes", "status", "latency_ns"]].count().to_dict("index") == {
        "request_done": {"body_bytes": 0, "status": 23, "latency_ns": 23},
        "request_start": {"body_bytes": 23, "status": 0, "latency_ns": 0},
    }
    assert frame["latency_ns"].mean() >= 5_000  # a 0 in the other rows would halve it


def test_the_names_of_the_arms_have_no_commas() -> None:
    assert [arm for arm in ARMS if "," in arm] == []


def test_what_a_pointer_points_to_arrives() -> None:
    frame = usdt.measure(101, 0)
    assert frame["body_bytes"].sum() == own_report(live.server(), "--requests", 101, "--work-ns", 0)["body_bytes"]


@pytest.mark.parametrize("path", ["/", "/ünïcödé/蜂", "x" * 115, "with spaces and 'quotes'"])
def test_a_text_arrives_whole(path: str) -> None:
    frame = usdt.measure(7, 0, "request_start", path=path)
    assert frame["text"].tolist() == [path] * 7


def test_bpftrace_reads_the_same_arguments() -> None:
    binary = build("usdt_app")
    script = f"""
        usdt:{binary}:labkit:request_start /pid == PID/ {{ printf("start %d %s\\n", arg0, str(arg1)); }}
        usdt:{binary}:labkit:request_done /pid == PID/ {{ printf("done %d %d\\n", arg0, (int32)arg1); }}"""
    with (
        Workload("usdt_app", ["--requests", "23", "--work-ns", "0"]) as run,
        bpftrace(script.replace("PID", str(run.pid))) as witness,
    ):
        run.go()
        told = witness.read("done", 23)
    ours = usdt.measure(23, 0)
    starts, ends = (ours[ours["probe"] == name] for name in ("request_start", "request_done"))
    assert re.findall(r"^start (\d+) (.*)$", told, re.MULTILINE) == list(
        zip(starts["request"].astype(str), starts["text"], strict=True)
    )
    assert re.findall(r"^done (\d+) (-?\d+)$", told, re.MULTILINE) == list(
        zip(ends["request"].astype(str), ends["status"].astype(str), strict=True)
    )


def test_the_latency_that_was_set_is_the_latency_that_arrives() -> None:
    frame = usdt.measure(11, 3_000_000)
    done = frame[frame["probe"] == "request_done"]
    assert (done["latency_ns"] >= 3_000_000).all()
    started = frame[frame["probe"] == "request_start"].set_index("request")["time_ns"]
    between = done.set_index("request")["time_ns"] - started
    assert (between >= 3_000_000 - 1_000_000).all()  # the program looked at its clock before the first probe fired


def test_the_histogram_in_the_kernel_is_the_programs_own() -> None:
    frame = usdt.latency(1009)
    assert frame["count"].tolist() == frame["fired"].tolist()
    assert frame["count"].sum() == 1009


# -- the live process ----------------------------------------------------------------------------


@pytest.mark.parametrize("probe", ["request_start", "request_detail", "loop_plain", "loop_guarded"])
def test_the_code_changes_and_is_restored(probe: str) -> None:
    frame = usdt.live_code(probe).set_index("phase")
    before, attached, passed, detached = frame["code"]
    assert before == detached != attached
    assert frame.loc["fired", "count"] >= 23
    assert frame.loc["attached", "count"] == 0
    nop, trap, name = (
        ("90", "cc", "int3") if platform.machine() == "x86_64" else ("1f 20 03 d5", "a0 00 20 d4", "brk #0x5")
    )
    assert (before, attached, passed) == (nop, trap, trap)
    assert frame["instruction"].tolist() == ["nop", name, name, "nop"]


@pytest.mark.parametrize(("probe", "has_one"), [("request_start", 0), ("request_detail", 1), ("loop_guarded", 1)])
def test_a_semaphore_is_up_while_somebody_listens(probe: str, has_one: int) -> None:
    assert usdt.live_code(probe)["listeners"].tolist() == [0, has_one, has_one, 0]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 has nops of several lengths")
def test_a_long_nop_becomes_a_trap_or_a_call_and_is_restored() -> None:
    frame = usdt.live_code("loop_long")
    before, attached, passed, detached = frame["code"]
    assert before == detached == "0f 1f 44 00 00"
    assert attached == "cc 1f 44 00 00"
    assert passed == attached or passed.startswith("e8 ")
    if passed.startswith("e8 "):
        assert frame["instruction"].iloc[2] == "call [uprobes-trampoline]"


def test_the_detail_is_prepared_only_while_somebody_listens() -> None:
    frame = usdt.semaphore(101, slices=2)
    assert frame["arm"].tolist() == ["nobody listens", "somebody listens", "nobody listens (again)"]
    assert frame["fired"].tolist() == frame["count"].tolist() == [0, 2 * 101, 0]
    assert frame["requests"].tolist() == [2 * 101] * 3 and frame["slices"].tolist() == [2] * 3
    assert frame["p50_ns"].between(frame["low_p50_ns"], frame["high_p50_ns"]).all()
    assert frame["ratio"].between(frame["low"], frame["high"]).all()
    assert frame["low"][1] > 1  # the price of the text, which takes a thousand times as long as the rest
    assert trial.TOO_FEW in frame.attrs["warnings"]


def test_processes_of_one_program_are_told_apart() -> None:
    frame = usdt.tell_apart((101, 103, 107))
    assert frame["count"].tolist() == [101, 103, 0]
    assert frame["fired"].tolist() == [101, 103, 107]
    assert frame["instruction"].iloc[2] == "nop" != frame["instruction"].iloc[0]


def test_each_arm_of_the_cost_has_its_slices() -> None:
    frame = usdt.cost(iterations=1000, slices=2)
    assert set(frame["arm"].value_counts()) == {2}
    arms = {"no probe", "no probe (again)", "idle", "idle with semaphore", "traced", "traced with semaphore"}
    assert arms <= set(frame["arm"])
    assert ("traced on a long nop" in set(frame["arm"])) is (platform.machine() == "x86_64")
    assert set(trial.differences(frame)["arm"]) == set(frame["arm"]) - {"no probe"}


# -- other people's probes -----------------------------------------------------------------------


def has_function_probes() -> bool:
    try:
        return "python:function__entry" in set(usdt.probes(os.path.realpath("/usr/bin/python3"))["probe"])
    except BadArgument:
        return False


needs_functions = pytest.mark.skipif(not has_function_probes(), reason="this Python has no probes of functions")


@pytest.mark.kernel
@needs_functions
def test_each_call_of_a_python_function_is_recorded() -> None:
    frame = usdt.python_calls(arguments=["23"])
    counted = frame["function"].value_counts()
    own = frame[frame["fired"] > 0].groupby("function")["fired"].first().to_dict()
    assert {name: int(counted[name]) for name in own} == own
    assert own == {"shop": 1, "price": 23, "item": 69, "tax": 69, "discount": 8}


@pytest.mark.kernel
@needs_functions
def test_pythons_own_profiler_counts_the_same(tmp_path: Path) -> None:
    frame = usdt.python_calls(arguments=["11"])
    code = (
        "import collections, json, runpy, sys\n"
        f"calls = collections.Counter()\nsys.argv = [{str(others.EXAMPLE)!r}, '11']\n"
        "def saw(frame, event, argument):\n"
        "    if event == 'call' and frame.f_code.co_filename == sys.argv[0]: calls[frame.f_code.co_name] += 1\n"
        "sys.setprofile(saw)\nrunpy.run_path(sys.argv[0], run_name='__main__')\nsys.setprofile(None)\n"
        "print(json.dumps(calls))\n"
    )
    python = os.path.realpath("/usr/bin/python3")
    witness = json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert frame["function"].value_counts().to_dict() == witness


@pytest.mark.kernel
@needs_functions
def test_calls_nest_as_the_program_is_written() -> None:
    frame = usdt.python_calls(arguments=["3"])
    depth = {name: set(rows["depth"]) for name, rows in frame.groupby("function")}
    assert depth["<module>"] == {1}
    assert depth["shop"] == {2}
    assert len(depth["discount"]) == 8  # it calls itself
    outer, inner = frame[frame["function"] == "shop"].iloc[0], frame[frame["depth"] > 2]
    assert (inner["time_ns"] >= outer["time_ns"]).all()
    assert (inner["time_ns"] + inner["latency_ns"] <= outer["time_ns"] + outer["latency_ns"]).all()


def test_a_python_without_probes_is_told(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no probe python:") as caught:
        usdt.gc_pauses(python=_without_probes(tmp_path))
    assert "--with-dtrace" in caught.value.fix


def _without_probes(folder: Path) -> Path:
    """Return a Python that keeps the workload's promise and has no probes: its notes are cut out of it."""
    made = folder / "python3"
    python = os.path.realpath("/usr/bin/python3")
    subprocess.run(["objcopy", "--remove-section=.note.stapsdt", python, made], check=True)
    return made


def test_imports_stand_in_where_functions_have_no_probes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(others, "FUNCTIONS", (("python:function__gone", "on_entry", 3),))
    script = tmp_path / "imports.py"
    script.write_text("import wave\n")
    frame = usdt.python_calls(script)
    assert {"wave", "audioop"} & set(frame["function"])
    assert "imports" in frame.attrs["warnings"][0]


def test_each_collection_of_rubbish_is_recorded() -> None:
    frame = usdt.gc_pauses()
    ours = frame[frame["count"] == 2000]  # 1000 pairs of lists, each time
    own = own_report(Path(sys.executable), "-I", others.CHILD, others.RUBBISH)["by_generation"]
    assert {str(key): int(number) for key, number in ours["generation"].value_counts().items()} == own
    assert (frame["latency_ns"] > 0).all()


def test_each_throw_catch_and_rethrow_is_recorded_with_its_type() -> None:
    frame = usdt.throws(11, 7, 5)
    assert own_counts(frame) == count_by_probe(frame)
    counted = frame.groupby(["exception", "probe"]).size().to_dict()
    assert {name.rpartition("::")[2]: n for (name, probe), n in counted.items() if probe == "throw"} == {
        "out_of_range": 11,
        "runtime_error": 7,
        "out_of_luck": 5,
    }
    assert counted[("std::runtime_error", "rethrow")] == 7


# -- exercises -----------------------------------------------------------------------------------


def test_the_exercises_can_be_solved() -> None:
    mystery = usdt.mystery()
    done = mystery[mystery["probe"] == "request_done"]
    assert truths.expected("05-q1") == (done["status"] < 0).sum()
    slow = usdt.find_slow()
    assert truths.expected("05-q2") == slow.loc[slow["latency_ns"].idxmax(), "request"]
    asked = usdt.read_a_note()
    number, probe = re.findall(r"argument (\d) of (\S+)", asked)[0]
    notes = usdt.probes().set_index("probe")["arguments"]
    assert truths.expected("05-q3") == notes[probe].split("; ")[int(number)]
    thrown = usdt.throw_mystery()
    counted = thrown[thrown["probe"] == "throw"]["exception"].value_counts()
    assert truths.expected("05-q4") == counted.idxmax()
    assert len(set(counted)) == 3


def test_readelf_says_what_the_frame_says() -> None:
    told = re.findall(
        r"Provider: (\S+)\n +Name: (\S+)\n +Location: (\w+), .*Semaphore: (\w+)\n +Arguments: (.*)", usdt.readelf()
    )
    frame = usdt.probes()
    assert [f"{provider}:{name}" for provider, name, *_ in told] == frame["probe"].tolist()
    assert [int(address, 16) for *_, address, _, _ in told] == frame["address"].tolist()
    assert [int(semaphore, 16) for *_, semaphore, _ in told] == frame["semaphore"].tolist()
    assert [arguments.strip() for *_, arguments in told] == frame["arguments"].str.replace(";", "").tolist()


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: usdt.measure(requests=0), "requests=0"),
        (lambda: usdt.measure(requests=100_001), "requests=100001"),
        (lambda: usdt.measure(work_ns=-1), "work_ns=-1"),
        (lambda: usdt.measure(probes=[]), r"probes=\[\]"),
        (lambda: usdt.measure(probes=["request_strat"]), "did you mean 'request_start'"),
        (lambda: usdt.measure(path="x" * 116), "115 bytes"),
        (lambda: usdt.measure(path=""), "path=''"),
        (lambda: usdt.latency(requests="many"), "requests='many'"),
        (lambda: usdt.live_code("request_don"), "did you mean 'request_done'"),
        (lambda: usdt.semaphore(0), "requests=0"),
        (lambda: usdt.tell_apart((7,)), "2 to 16 numbers"),
        (lambda: usdt.tell_apart((7, 0)), "requests=0"),
        (lambda: usdt.tell_apart(101), "2 to 16 numbers"),
        (lambda: usdt.cost(iterations=10), "iterations=10"),
        (lambda: usdt.cost(slices=1), "slices=1"),
        (lambda: usdt.cost(cpu=4096), "cpu=4096"),
        (lambda: usdt.probes("/bin/true"), "no USDT probes"),
        (lambda: usdt.probes("/nowhere"), "cannot be read"),
        (lambda: usdt.python_calls("/nowhere.py"), "is not allowed"),
        (lambda: usdt.python_calls(python="/nowhere"), "is not allowed"),
        (lambda: usdt.throws(range_errors=-1), "range_errors=-1"),
    ],
)
def test_a_bad_argument_is_named_and_nothing_is_started(call: Callable[[], object], told: str) -> None:
    with pytest.raises(BadArgument, match=told) as caught:
        call()
    assert caught.value.fix


def test_a_program_without_sys_sdt_h_is_missing_and_not_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(__file__).parents[3] / "c" / "workloads" / "usdt_app.c"
    common = source.parent / "common"
    parts = [source, *(common / f"{part}.c" for part in ("workload", "options", "json"))]
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-I", common, "-o", tmp_path / "usdt_app", *parts], check=True)
    monkeypatch.setattr(live, "build", lambda name: tmp_path / name)
    for call in (usdt.probes, usdt.measure, usdt.live_code, usdt.semaphore, usdt.tell_apart, usdt.cost):
        with pytest.raises(Missing, match=r"compiled without sys/sdt\.h") as caught:
            call()
        assert "systemtap-sdt-dev" in caught.value.fix


def test_stop_ends_everything() -> None:
    def stop(share: float, note: str) -> None:
        if note == "serving requests":
            raise Stopped

    with pytest.raises(Stopped):
        usdt.measure(10_000, 1_000_000, progress=stop)


def test_a_script_that_fails_says_why(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise ValueError('broken on purpose')\n")
    with pytest.raises(LabkitError, match=r"ValueError|broken on purpose") as caught:
        usdt.python_calls(script)
    assert caught.value.fix
    assert sys.executable  # the lesson's own Python lives on


def test_a_mystery_carries_no_answer() -> None:
    frame = usdt.mystery()
    assert not [name for name in frame.attrs if name in ("told", "fired", "failed")]
