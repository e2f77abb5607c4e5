# SPDX-License-Identifier: Apache-2.0
"""Two labs on one kernel: containers with their own mounts, process ids and networks, and one volume for data files."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from container.box import ENGINE, RUN_FLAGS, engine
from container.test_left import eventually_empty, loaded
from leftovers import MARK
from tree import ROOT

pytestmark = pytest.mark.container

NAMES = ("labkit-test-lab-a", "labkit-test-lab-b")
VOLUME = "labkit-test-lab-data"
REDUCED = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["reduced"]

# Measures ROUNDS times, and prints when each measurement began and ended, on the clock that all containers share.
MEASURE = """
import json, time
from labkit.lessons import io_engines
for _ in range({rounds}):
    began, waited = [], []
    def tell(share, note):
        if not note.startswith("waiting"):
            return began.append(time.clock_gettime(time.CLOCK_BOOTTIME))
        waited.append(note)
        open("/tmp/waits", "w").close()
    frame = io_engines.measure("sync", seconds={seconds}, slices=4, progress=tell)
    print(json.dumps([began[0], began[-1], len(frame), waited]), flush=True)
"""
# Holds all that a measurement can hold, prints where it is, and stays.
HOLD = """
import time
from labkit.bpf.program import Program
from labkit.running.cgroup import Cgroup
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder
with exclusive("a long one") as report, run_folder() as folder, Cgroup() as cgroup, Program("hello") as program:
    program.aim(pid=1)
    program.attach()
    (folder / "big").write_bytes(bytes(1000))
    report(0.2, "begun")
    time.sleep(3)
    report(0.5, "half of it")
    print(folder, cgroup.path, flush=True)
    time.sleep(600)
"""
SWEEP = "from labkit.running.sweep import sweep; print(*sweep())"
WAIT = """
from labkit.errors import Busy
from labkit.running.lock import exclusive
try:
    with exclusive("the next one", timeout_s={timeout_s}):
        print("measured")
except Busy as busy:
    print(busy.what)
"""


@pytest.fixture
def labs(image: None) -> Iterator[tuple[str, str]]:
    """Yield the names of two labs that run, started with the privileges that the hub gives."""
    flags = [*RUN_FLAGS, "--cgroupns", "private", "--env", f"{MARK}=labs-{os.getpid()}", "--env", "LABKIT_QUICK=1"]
    flags += [f"--cap-add={name}" for name in REDUCED["cap_add"]]
    flags += [f"--security-opt={option}" for option in REDUCED["security_opt"]]
    flags += [f"--volume={volume}" for volume in REDUCED["volumes"] if volume.startswith("/sys/")]
    flags += [f"--volume={VOLUME}:/lab/data"]
    try:
        for name in NAMES:
            engine("run", "--detach", "--name", name, *flags, "labkit:local", "sleep", "900")
            ready(name)
        yield NAMES
    finally:
        engine("rm", "--force", "--volumes", *NAMES, check=False)
        engine("volume", "rm", "--force", VOLUME, check=False)


def ready(name: str) -> None:
    """Wait until the container has mounted what it needs and has come to its command."""
    deadline = time.monotonic() + 60
    while "sleep" not in engine("exec", name, "sh", "-c", "cat /proc/[0-9]*/comm", check=False).split():
        assert time.monotonic() < deadline, engine("logs", name)
        time.sleep(0.2)


def start(name: str, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*ENGINE, "exec", name, "python", "-c", code], stdout=subprocess.PIPE, text=True)


def python(name: str, code: str, timeout_s: float = 120) -> str:
    return engine("exec", name, "python", "-c", code, timeout_s=timeout_s)


def rows(process: subprocess.Popen[str]) -> list[list[Any]]:
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return [json.loads(line) for line in told.splitlines()]


def test_they_share_nothing_but_the_kernel(labs: tuple[str, str]) -> None:
    for kind in ("mnt", "pid", "net", "ipc", "cgroup"):
        seen = {engine("exec", name, "readlink", f"/proc/self/ns/{kind}") for name in labs}
        assert len(seen) == 2 and os.readlink(f"/proc/self/ns/{kind}") not in {each.strip() for each in seen}


def test_their_measurements_take_turns(labs: tuple[str, str]) -> None:
    running = [start(name, MEASURE.format(rounds=4, seconds=0.3)) for name in labs]
    told = [rows(process) for process in running]
    assert [len(each) for each in told] == [4, 4]
    spans = sorted((began, ended) for each in told for began, ended, *_ in each)
    assert [before for before, after in itertools.pairwise(spans) if before[1] > after[0]] == []
    waited = [note for each in told for *_, notes in each for note in notes]
    assert waited and all(" of another container, running for " in note for note in waited)


def test_a_lab_that_waits_reports_for_about_how_long(labs: tuple[str, str]) -> None:
    with start(labs[0], HOLD) as holding:
        assert holding.stdout is not None and holding.stdout.readline()
        told = python(labs[1], WAIT.format(timeout_s=1))
        holding.kill()
        engine("kill", labs[0])
    assert "for a long one (process " in told and "of another container, running for " in told
    assert "s left)" in told


def test_a_sweep_touches_nothing_of_a_lab_that_lives(labs: tuple[str, str]) -> None:
    """Both keep their data files in one folder; the second sweeps without waiting for the first."""
    with start(labs[0], HOLD) as holding:
        assert holding.stdout is not None
        folder, cgroup = holding.stdout.readline().split()
        for _ in range(3):
            assert python(labs[1], SWEEP).split() == []
        assert engine("exec", labs[0], "sh", "-c", f"ls {folder}/big && ls -d {cgroup}").split() == [
            f"{folder}/big",
            cgroup,
        ]
        record = json.loads(engine("exec", labs[1], "cat", f"{folder}/.labkit-run"))
        assert record["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        inode = engine("exec", labs[0], "stat", "-Lc", "%i", "/proc/self/ns/pid").strip()
        assert str(record["pid_namespace"]) == inode and record["pid"] > 0 and record["started"] > 0
        holding.kill()
        engine("kill", labs[0])


def test_one_is_killed_in_mid_run_and_the_other_goes_on(labs: tuple[str, str]) -> None:
    before = loaded()
    with start(labs[0], HOLD) as holding:
        assert holding.stdout is not None
        folder, _ = holding.stdout.readline().split()
        programs = loaded() - before
        assert programs
        waiting = start(labs[1], MEASURE.format(rounds=1, seconds=0.3))
        deadline = time.monotonic() + 60
        while not engine("exec", labs[1], "sh", "-c", "ls /tmp/waits || true"):
            assert waiting.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        engine("kill", labs[0])
        [[_, _, count, notes]] = rows(waiting)
    assert count > 0 and any("waiting for a long one (process " in note for note in notes)
    assert engine("exec", labs[1], "sh", "-c", "ls -A /lab/data").split() == [] or folder not in engine(
        "exec", labs[1], "ls", "-A", "/lab/data"
    )
    assert eventually_empty(lambda: programs & loaded()) == set()
    assert not Path("/sys/fs/bpf/labkit-holder").is_symlink()
