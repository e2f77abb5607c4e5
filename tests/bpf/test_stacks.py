# SPDX-License-Identifier: Apache-2.0
"""Stacks have the right names, also when the process is gone; the workload's own clock is the witness of the shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.bpf import stacks
from labkit.bpf.stacks import KERNEL_MARK, StackSampler
from labkit.errors import BadArgument
from labkit.running.workload import Workload


@pytest.mark.bpf
def test_functions_are_named_from_the_outermost_in() -> None:
    with Workload("probes", ["--work", "burn", "--seconds", "0.3"]) as run, StackSampler(run.pid) as sampler:
        told = run.go()
        sampler.stop()  # the process has ended
    frame = sampler.frame()
    assert frame["count"].is_monotonic_decreasing
    assert frame["count"].sum() > 0
    assert frame["stack"].is_unique
    assert frame["stack"].str.contains(";main;work_burn;apple").any()
    assert frame["stack"].str.contains(";main;work_burn;pear").any()
    apple = frame.loc[frame["stack"].str.contains(";apple"), "count"].sum()
    pear = frame.loc[frame["stack"].str.contains(";pear"), "count"].sum()
    assert told["apple_ns"] > told["pear_ns"]
    assert apple > pear


@pytest.mark.bpf
def test_functions_of_the_kernel_come_after_the_system_call_and_are_marked() -> None:
    arguments = ["--work", "burn", "--seconds", "0.3", "--apple", "0", "--pear", "0", "--plum", "0"]
    with Workload("probes", arguments) as run, StackSampler(run.pid) as sampler:
        run.go()
        sampler.stop()
    frame = sampler.frame()
    (reads,) = {"vfs_read" + KERNEL_MARK} & {name for stack in frame["stack"] for name in stack.split(";")}
    deep = next(stack.split(";") for stack in frame["stack"] if reads in stack)
    marked = [name.endswith(KERNEL_MARK) for name in deep]
    assert marked == sorted(marked)  # first the program's own, then the kernel's
    assert "main" in deep


@pytest.mark.bpf
def test_other_processes_are_not_sampled() -> None:
    busy = ["--work", "burn", "--seconds", "0.3", "--apple", "100", "--pear", "0", "--plum", "0"]
    with Workload("probes", busy) as other, Workload("probes", ["--work", "nap", "--calls", "3"]) as run:
        with StackSampler(run.pid) as sampler:
            other.start()
            run.go()
            other.result()
            sampler.stop()
    assert not sampler.frame()["stack"].str.contains("apple").any()


def test_a_perf_map_gives_names_to_made_code(tmp_path: Path) -> None:
    path = tmp_path / "perf-1.map"
    path.write_text("7f10 10 py::pear:/opt/her/fruit.py\n7f00 b py::apple:/opt/her/fruit.py\n")
    starts, rest = stacks._read_perf_map(path)
    assert starts == [0x7F00, 0x7F10]
    assert [stacks._short(name) for _, name in rest] == ["py::apple:fruit.py", "py::pear:fruit.py"]
    assert stacks._read_perf_map(tmp_path / "none") == ([], [])


@pytest.mark.parametrize("hz", [0, 10_000, 1.5, "fast"])
def test_a_bad_rate_is_refused(hz: object) -> None:
    with pytest.raises(BadArgument, match="hz="):
        StackSampler(1, hz)  # type: ignore[arg-type]
