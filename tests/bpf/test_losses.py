# SPDX-License-Identifier: Apache-2.0
"""What a program could not see or keep is counted; at the end it forgets which process it follows."""

from __future__ import annotations

import errno
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.bpf import proginfo
from labkit.bpf.program import Program
from labkit.bpf.stacks import StackSampler
from labkit.running.workload import Workload

pytestmark = pytest.mark.bpf

PATIENCE_S = 20.0


def test_children_are_forgotten_when_they_are_gone() -> None:
    """Process ids are reused: a stranger would be watched."""
    with Program("hello") as program:
        with Workload("hello", ["--runs", "23"]) as run, program.watching(run.pid):
            run.go()
            assert program.counters("labkit_lost")[0] == 0
            until = (
                time.monotonic() + PATIENCE_S
            )  # the kernel frees a process some milliseconds after it was waited for
            while program.hash("labkit_children") and time.monotonic() < until:
                subprocess.run(["true"], check=True)
            assert program.hash("labkit_children") == {}


def test_runs_that_the_kernel_skipped_are_lost_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """What bpf(2) reports about each function of a program is added up, from the moment its maps were cleared."""
    with Program("hello") as program:
        asked: list[int] = []

        def query(fd: int) -> Any:
            asked.append(fd)
            return SimpleNamespace(recursion_misses=23)

        assert program.missed_runs == program.lost_events == 0
        monkeypatch.setattr(proginfo, "query", query)
        assert program.missed_runs == program.lost_events == 23 * len(program.functions)
        assert len(set(asked)) == len(program.functions)
        program.clear()
        assert program.missed_runs == 0


def test_recursion_misses_are_those_of_proc(tmp_path: Path) -> None:
    """Witness: /proc/self/fdinfo of the program's descriptor."""
    with Program("hello") as program:
        for function in program.bcc.funcs.values():
            said = Path(f"/proc/self/fdinfo/{function.fd}").read_text()
            line = next((line for line in said.splitlines() if line.startswith("recursion_misses:")), "")
            if not line:
                pytest.skip("this kernel does not count the runs that it skips (6.1 does, 5.10 does not)")
            assert proginfo.query(function.fd).recursion_misses == int(line.split()[1])


def test_a_stack_whose_place_was_taken_is_lost() -> None:
    with Workload("probes", ["--work", "burn", "--seconds", "0.05"]) as run, StackSampler(run.pid) as sampler:
        table = sampler._program.table("samples")
        key = table.Key(-errno.EEXIST, -errno.EFAULT)
        table[key] = table.Leaf(7)
        sampler.stop()
        assert sampler.lost == 7
        assert sampler.frame().attrs["lost_events"] == 7
