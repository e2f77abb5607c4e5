# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: the stacks have the names of the program, and the times that the program itself and bpftrace measure."""

from __future__ import annotations

import functools
import json
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from obedient import PATIENCE_S
from witness import bpftrace

from labkit.lessons import your_program
from labkit.lessons.your_program import pythons
from labkit.lessons.your_program.stacks import _below_python
from labkit.lessons.your_program.target import check_target
from labkit.lessons.your_program.watching import look_at
from labkit.running.progress import silent
from labkit.running.workload import Workload, build

pytestmark = pytest.mark.programs_kept
bpf = pytest.mark.bpf
anywhere = pytest.mark.anywhere

# three functions: one computes, one sleeps in a thread, one is deep; at the end it says its own times
FRUIT = """
import json, sys, threading, time
took = {"rest": 0}
def apple(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
class Tree:
    def rest(self):
        for _ in range(7):
            began = time.monotonic_ns()
            time.sleep(0.03)
            took["rest"] += time.monotonic_ns() - began
def deep(n):
    return deep(n - 1) if n else apple(0.1)
for name in "pqrst":  # the memory of each module's code goes to the next
    exec(compile("end = time.thread_time() + 0.04\\nwhile time.thread_time() < end: pass", name + ".py", "exec"))
thread = threading.Thread(target=Tree().rest)
thread.start()
apple(0.3)
thread.join()
deep(60)
print(json.dumps(took), file=open(sys.argv[1], "w"))
"""


def interpreters() -> list[Any]:
    """Return the Pythons of this machine, of different versions, that start; on other kernels the first is enough."""
    found = {}
    for name in ("/usr/bin/python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        path = shutil.which(name)
        made = path and subprocess.run(
            [path, "-c", "import sys; print(sys.version_info[1], sys.executable)"], capture_output=True, text=True
        )
        if made and made.returncode == 0:
            minor, real = made.stdout.split()
            found.setdefault(int(minor), real)
    known = [path for minor, path in found.items() if 11 <= minor <= 13]
    return [*known[:1], *(pytest.param(path, marks=anywhere) for path in known[1:])]


def share(frame: pd.DataFrame, *names: str) -> int:
    return int(frame[frame["stack"].str.contains(";".join(names), regex=False)]["count"].sum())


@functools.cache
def fruit(python: str) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Return the stacks of one run on and off the CPU, and how long the script says that it rested."""
    with tempfile.TemporaryDirectory() as folder:
        script, told = Path(folder, "fruit.py"), Path(folder, "took")
        script.write_text(FRUIT)
        found = your_program.watch_all(["on_cpu", "off_cpu"], command=[python, str(script), str(told)])
        return found["on_cpu"], found["off_cpu"], json.loads(told.read_text())["rest"]


each_python = pytest.mark.parametrize("python", interpreters(), ids=lambda path: Path(path).name)


@bpf
@each_python
def test_functions_of_python_have_their_names(python: str) -> None:
    on, off, _ = fruit(python)
    assert share(on, "py::<module>:fruit.py", "py::apple:fruit.py") > 0
    assert all(share(on, f"py::<module>:{name}.py") for name in "pqrst")
    rest = off[off["stack"].str.contains("py::Tree.rest:fruit.py")]
    assert rest["count"].sum() >= 7
    assert 7 * 30e6 <= rest["total_ns"].sum()
    cut = on[on["stack"].str.startswith(pythons.CUT)]
    assert cut["stack"].str.contains("py::deep:fruit.py;py::deep:fruit.py").any()


@bpf
@anywhere  # an emulated machine leaves ticks of a timer out
@each_python
def test_functions_of_python_have_their_times(python: str) -> None:
    on, off, rested_ns = fruit(python)
    assert share(on, "py::<module>:fruit.py", "py::apple:fruit.py") > 0.3 * share(on, "py::")
    assert share(on, "py::apple") / 499 == pytest.approx(0.4, rel=0.2)  # by the program's own CPU clock
    assert off[off["stack"].str.contains("py::Tree.rest:fruit.py")]["total_ns"].sum() <= rested_ns


@bpf
def test_sleeps_have_the_function_and_the_time_that_the_program_and_bpftrace_see() -> None:
    text = (
        'tracepoint:sched:sched_switch /args->prev_comm == "script"/ { @at[args->prev_pid] = nsecs; } '
        "tracepoint:sched:sched_switch /@at[args->next_pid]/ { $ns = nsecs - @at[args->next_pid]; "
        "if ($ns > 4000000) { @off[args->next_pid] = sum($ns); } delete(@at[args->next_pid]); }"
    )
    told: dict[str, list[dict[str, int]]] = {}
    with Workload("script", ["--script", "main: nap 23 5000, fall 3 7 20000"]) as run, bpftrace(text) as witness:
        pid, target = run.pid, check_target(run.pid, None, None)
        frame = look_at(target, ["off_cpu"], PATIENCE_S, silent, lambda: told.update(run.go()))["off_cpu"]
        said = witness.end()
    acts = {act["act"]: act["elapsed_ns"] for act in told["acts"]}
    nap, fall = (frame[frame["stack"].str.contains(f";{name}")] for name in ("nap", "fall"))
    assert nap["count"].sum() >= 23 and fall["count"].sum() >= 3
    assert 23 * 5e6 <= nap["total_ns"].sum() <= acts["nap"] and 3 * 20e6 <= fall["total_ns"].sum() <= acts["fall"]
    assert fall["stack"].str.contains(";".join(["fall"] * 7)).all()
    (seen,) = re.findall(rf"^@off\[{pid}\]: (\d+)$", said, re.MULTILINE)
    long_ones = nap["total_ns"].sum() + fall["total_ns"].sum()
    # two clocks, read a moment apart at each switch: a moment is at most as long as the probes ran in all
    assert int(seen) == pytest.approx(long_ones, abs=0.02 * long_ones + frame["probe_ns"].iloc[0])


@bpf
@anywhere  # an emulated machine leaves ticks of a timer out
def test_the_samples_are_as_many_as_the_cpu_time_says() -> None:
    arguments = ["--work", "burn", "--seconds", "0.5", "--apple", "100", "--pear", "0", "--plum", "0"]
    with Workload("probes", arguments) as run:  # it burns half a second of its own CPU clock
        frame = look_at(check_target(run.pid, None, None), ["on_cpu"], PATIENCE_S, silent, run.go)["on_cpu"]
    assert frame["count"].sum() / 499 == pytest.approx(0.5, rel=0.2)


@bpf
@anywhere
@pytest.mark.skipif(not shutil.which("strip"), reason="strip is not installed")
def test_a_stripped_binary_is_named_in_brackets_and_in_words(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run(["strip", "-o", bare, build("probes")], check=True)
    burn = f"{bare} --go --work burn --seconds 0.3 --apple 100 --pear 0 --plum 0"
    found = your_program.watch_all(["on_cpu", "off_cpu"], command=["sh", "-c", f"sleep 0.01; exec {burn}"])
    frame = found["on_cpu"]
    named = frame[frame["stack"].str.contains("[bare]", regex=False)]
    assert named["count"].sum() > 0.5 * frame["count"].sum()
    assert found["off_cpu"]["count"].sum() > 0  # which the warning does not count
    warning = f"of {frame['count'].sum()} stacks end in [bare]: a file whose symbols were removed"
    assert any(line.startswith("on_cpu: ") and warning in line for line in frame.attrs["warnings"])


def test_what_a_python_function_called_is_below_the_interpreters_loop() -> None:
    assert _below_python(["main", "_PyEval_EvalFrameDefault", "time_sleep", "clock_nanosleep"]) == [
        "time_sleep",
        "clock_nanosleep",
    ]
    assert _below_python(["[unknown]", "PyObject_Free"]) == ["PyObject_Free"]
    assert _below_python(["[unknown]"]) == [] and _below_python([]) == []
    assert _below_python(["_start", "main"]) == ["main"]


def test_python_says_its_own_layout_or_is_not_known() -> None:
    table = bytearray(pythons._OWN_BYTES)
    table[:8] = b"xdebugpy"
    struct.pack_into("<Q", table, 40, 632)
    layout = pythons._own_layout(bytes(table))
    assert layout is not None and layout[0] == 632
    table[16] = 1
    assert pythons._own_layout(bytes(table)) is None and pythons._own_layout(bytes(304)) is None
