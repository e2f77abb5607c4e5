# SPDX-License-Identifier: Apache-2.0
"""`make test-classroom`: thirty learners are graded three times, in one command each time.

Twenty minutes in a container of namespaces; two correct learners and a hostile one more in a virtual machine, if a
kernel image is there (LABKIT_TEST_VM_KERNEL, or one that `make test-kernels` has fetched).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from classroom.learners import HELLO, HOSTILE, LITERAL, START, WRONG, make, solutions
from classroom.test_grading import strangers

from labkit.classroom.grading import points_of
from labkit.classroom.report import shared_literals
from labkit.cli import main
from labkit.course import LESSONS
from labkit.machine.folders import cache_folder

# not marked as bpf: those must not be skipped where LABKIT_REQUIRE_BPF=1, and these run on request only
pytestmark = pytest.mark.skipif(not os.environ.get("LABKIT_TEST_CLASSROOM"), reason="make test-classroom runs it")
ROUNDS = 3
POINTS = {lesson.notebook: len(points_of(lesson)) for lesson in LESSONS}
# These answer rightly before they do what they do, so those points are earned.
EARNED_FIRST = ("print", "hang", "fork", "memory")


def class_of_thirty(folder: Path) -> dict[str, int]:
    """Write the learners' notebooks; return the points that each has earned."""
    earned = {}
    for number, name in enumerate([START] * 5 + [HELLO] * 2):
        make(folder, f"correct-{number}", name, solutions(name))
        earned[f"correct-{number}"] = POINTS[name]
    for number in range(2):
        make(folder, f"wrong-{number}", START, [WRONG])
        make(folder, f"literal-{number}", START, [LITERAL])
        make(folder, f"empty-{number}", START, [])
    (folder / "absent").mkdir()  # has handed in nothing
    for name, source in HOSTILE.items():
        first = solutions(START) if name in EARNED_FIRST else []
        make(folder, name, START, [*first, source])
        earned[name] = POINTS[START] if first else 0
    return earned


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_QUICK", "1")
    monkeypatch.setenv("LABKIT_LOCK", "/run/labkit-classroom-tests.lock")  # in the container's own /run: nobody waits


@pytest.mark.usefixtures("_quick")
def test_thirty_learners_are_graded_in_one_command_three_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earned = class_of_thirty(tmp_path)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 30
    mounts = Path("/proc/mounts").read_text()
    for number in range(ROUNDS):
        again = ["--again"] if number else []
        assert main(["grade", str(tmp_path), "--in-container", "--timeout", "30", *again]) == 0
        told = capsys.readouterr().out
        points = {line.split()[2].strip(":"): int(line.split()[3]) for line in told.splitlines() if " points" in line}
        assert points == dict.fromkeys(points, 0) | earned, told
        assert not (tmp_path / "graded/escaped").exists()
        assert strangers() == []
        assert Path("/proc/mounts").read_text() == mounts
    assert ("00-q1", "17") in shared_literals(tmp_path)
    page = (tmp_path / "grades.html").read_text()
    assert "patches the check" in page
    assert "reaches for the lab" in page


def kernel_image() -> Path | None:
    """Return a kernel for the virtual machine, if these tests run at all."""
    if not os.environ.get("LABKIT_TEST_CLASSROOM"):
        return None
    if chosen := os.environ.get("LABKIT_TEST_VM_KERNEL"):
        return Path(chosen)
    return next(iter(sorted(cache_folder().glob("kernels/6.12/boot/vmlinuz-*"))), None)


@pytest.mark.usefixtures("_quick")
@pytest.mark.skipif(kernel_image() is None, reason="no kernel image: make test-kernels KERNELS=6.12 fetches one")
def test_a_virtual_machine_grades_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LABKIT_KVM", os.environ.get("LABKIT_KVM", "0"))
    with tempfile.TemporaryDirectory(dir="/var/lib") as made:  # the machine has a /tmp of its own
        folder = Path(made)
        make(folder, "correct", START, solutions(START))
        make(folder, "tools", HELLO, solutions(HELLO))  # two of its answers are %%bpf programs
        make(folder, "kill", START, [HOSTILE["kill"]])
        assert main(["grade", made, "--kernel", str(kernel_image()), "--timeout", "600"]) == 0
        told = capsys.readouterr().out
        assert "correct: 3 of 3 points" in told
        assert f"tools: {POINTS[HELLO]} of {POINTS[HELLO]} points" in told
        assert "kill: 0 of 3 points" in told
        assert '"kernel": "6.12' in (folder / "graded/correct/00-start.json").read_text()
    assert strangers() == []


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_run_that_is_interrupted_leaves_nothing_and_is_resumed(tmp_path: Path, number: int) -> None:
    for learner in ("first", "second", "third"):
        make(tmp_path, learner, START, solutions(START))
    words = [sys.executable, "-m", "labkit", "grade", str(tmp_path), "--in-container"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as grading:
        assert grading.stdout is not None
        assert "first: 3 of 3" in grading.stdout.readline()
        time.sleep(2)  # in the middle of the second, whatever it does then
        grading.send_signal(number)
        assert grading.wait(20) != 0
    assert strangers() == []
    first = (tmp_path / "graded/first/00-start.json").read_bytes()
    assert not (tmp_path / "graded/third/00-start.json").exists()
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    assert "first: 3 of 3 points" in done.stdout and "graded before" in done.stdout.splitlines()[0]
    assert "third: 3 of 3 points" in done.stdout
    assert (tmp_path / "graded/first/00-start.json").read_bytes() == first
