# SPDX-License-Identifier: Apache-2.0
"""One measurement at a time on the machine; the second one says which one it waits for."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from running.interrupting import every_interrupt

from labkit.errors import Busy, Missing, Stopped
from labkit.machine import folders, lock_places, provenance
from labkit.running import holder, lock
from labkit.running.cgroup import Cgroup
from labkit.running.lock import exclusive
from labkit.running.owned import run_folder

HOLDER = """
import sys
from labkit.running.lock import exclusive
with exclusive("lesson 01: hello"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def waited_for() -> subprocess.Popen[str]:  # type: ignore[misc]
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_told_for_whom_it_waits(waited_for: subprocess.Popen[str]) -> None:
    notes: list[str] = []
    with pytest.raises(Busy, match="lesson 01: hello"):
        with exclusive("me", lambda _, note: notes.append(note), timeout_s=0):
            pass
    with pytest.raises(Stopped), exclusive("me", lambda _, note: _stop(notes, note)):
        pass
    assert re.fullmatch(rf"waiting for lesson 01: hello \(process {waited_for.pid}, running for \d+ s\)", notes[-1])


def test_the_second_is_told_who_it_is_and_for_about_how_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABKIT_LOCK", str(tmp_path / "lock"))
    monkeypatch.setenv("JUPYTERHUB_USER", "ada\n" + 99 * "x")
    monkeypatch.setattr(lock, "NOTE_EVERY_S", 0.0)
    with exclusive("a sweep", lambda *_: None) as report:
        report(0.25, "a quarter")
        told = holder.describe((tmp_path / "lock").read_text())
    assert re.fullmatch(rf"a sweep \(adax+, process {os.getpid()}, running for \d+ s, about \d+ s left\)", told)
    assert len(told) < 120


def test_the_time_left_follows_from_the_share_that_is_done() -> None:
    since_s = time.clock_gettime(time.CLOCK_BOOTTIME) - 30
    assert holder.describe(holder.record("a sweep", 0.25, since_s=since_s)).endswith(
        "running for 30 s, about 90 s left)"
    )
    assert "left" not in holder.describe(holder.record("a sweep", 0.01, since_s=since_s))


def test_a_record_names_one_process_of_one_boot() -> None:
    mine = json.loads(holder.record("me"))
    assert holder.is_alive_here(json.dumps(mine))
    for other in ({"boot": "another"}, {"pid_namespace": 1}, {"started": mine["started"] + 1}, {"pid": 2**22 + 1}):
        assert not holder.is_alive_here(json.dumps(mine | other))
    assert not holder.is_alive_here("") and not holder.is_alive_here("[]")


def test_without_progress_a_warning_says_for_whom_it_waits(waited_for: subprocess.Popen[str]) -> None:
    with pytest.warns(UserWarning, match="Waiting for lesson 01: hello"), pytest.raises(Busy):
        with exclusive("me", timeout_s=1.5):
            pass


def test_a_killed_holder_lets_go(waited_for: subprocess.Popen[str]) -> None:
    waited_for.send_signal(signal.SIGKILL)
    waited_for.wait()
    with exclusive("me", timeout_s=5):
        pass


def test_two_threads_of_one_process_take_turns() -> None:
    inside: list[int] = []

    def work() -> None:
        with exclusive("a thread"):
            inside.append(1)
            assert len(inside) == 1
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert inside == []


# -- across containers ------------------------------------------------------------------------------------

# as two containers are to each other: their own /run, process ids, network, shared memory and cgroups
CONTAINER = ["unshare", "-m", "-p", "-n", "-i", "-C", "--fork", "--mount-proc", "sh", "-c"]
IN_A_CONTAINER = "set -e; mount -t tmpfs tmpfs /run; {more} exec {python} -c {code}"
ASK = """
from labkit.errors import Busy
from labkit.running.lock import exclusive
try:
    with exclusive("the other one", timeout_s=0):
        print("both at once")
except Busy as busy:
    print(busy.what)
"""


def in_a_container(code: str, more: str = "") -> list[str]:
    return [*CONTAINER, IN_A_CONTAINER.format(more=more, python=shlex.quote(sys.executable), code=shlex.quote(code))]


@pytest.fixture
def the_kernels_own(monkeypatch: pytest.MonkeyPatch) -> str:  # type: ignore[misc]
    """Use the kernel's lock; give the name under which this test holds it."""
    if os.geteuid() != 0 or not any(Path("/sys/kernel/tracing").glob("*")):
        pytest.skip("needs root and tracefs")
    monkeypatch.delenv("LABKIT_LOCK")
    name = f"test {os.getpid()}"
    with exclusive(name):
        yield name


@pytest.mark.bpf
@pytest.mark.parametrize("more", ["", "umount -l /sys/kernel/tracing; mount -t tracefs mine /sys/kernel/tracing;"])
def test_two_containers_of_one_kernel_take_turns(the_kernels_own: str, more: str) -> None:
    told = subprocess.run(in_a_container(ASK, more), capture_output=True, text=True, check=True, timeout=60).stdout
    assert re.fullmatch(
        rf"Waited 0 s for {the_kernels_own} \(process {os.getpid()} of another container, running for \d+ s\)\.\n", told
    )


@pytest.mark.bpf
def test_where_no_note_can_be_left_it_waits_all_the_same(the_kernels_own: str) -> None:
    command = in_a_container(ASK, "umount -l /sys/fs/bpf;")
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert told == "Waited 0 s for another measurement.\n"


@pytest.mark.bpf
def test_where_containers_cannot_meet_the_frame_says_so(the_kernels_own: str) -> None:
    code = "from labkit.machine.provenance import provenance; print(*provenance()['warnings'])"
    command = in_a_container(code, "umount -l /sys/kernel/tracing; umount -l /sys/kernel/debug/tracing || true;")
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "a lab in another one may have measured at the same time" in told
    assert provenance.provenance()["warnings"] == []


@pytest.mark.bpf
def test_afterwards_nothing_is_left_in_the_bpf_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_LOCK")
    with exclusive("me"):
        note = lock_places.note()
        assert note is None or note.is_symlink()
    assert note is None or not note.is_symlink()


@pytest.mark.bpf
def test_a_sweep_in_another_container_touches_nothing_of_a_lab_that_lives(the_kernels_own: str) -> None:
    code = (
        "from labkit.running.sweep import sweep\n"
        "from labkit.machine.cgroups import cgroup_mounts\n"
        "print(len(list(cgroup_mounts())), sweep())"
    )
    with run_folder() as folder, Cgroup() as cgroup:
        for more in ("", "mount -t cgroup2 mine /mnt;"):
            command = in_a_container(code, more)
            told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
            assert folder.name not in told and cgroup.path.name not in told
        assert folder.is_dir() and cgroup.path.is_dir()


# -- a lock that cannot be used ---------------------------------------------------------------------------


@pytest.mark.parametrize("planted", ["link", "pipe", "stranger"])
def test_a_lock_file_that_somebody_else_planted_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make files of another user")
    path, victim = tmp_path / "lock", tmp_path / "victim"
    victim.write_text("precious")
    match planted:
        case "link":
            path.symlink_to(victim)
        case "pipe":
            os.mkfifo(path)
        case "stranger":
            path.touch()
            os.chown(path, 12345, 12345)
    monkeypatch.setenv("LABKIT_LOCK", str(path))
    with pytest.raises(Missing, match=f"The lock file {path} cannot be used") as caught, exclusive("me"):
        pass
    assert caught.value.fix == f"remove it: rm {path}"
    assert victim.read_text() == "precious"


def test_where_locking_is_refused_it_says_by_which_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(Missing, match=r"flock\(2\) says Operation not permitted"), exclusive("me"):
        pass


def test_a_note_of_somebody_elses_making_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    monkeypatch.setenv("LABKIT_LOCK", str(path))
    for note in ("", "[]", "{", '{"purpose": 7}', "\x00\xff", "9" * 5000):
        path.write_text(note)
        with path.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(Busy, match="for another measurement"), exclusive("me", timeout_s=0):
                pass


def _stop(notes: list[str], note: str) -> None:
    notes.append(note)
    raise Stopped


@pytest.mark.parametrize("use", ["write", "read"])
def test_an_interrupt_leaves_no_descriptor_of_the_note(use: str, tmp_path: Path) -> None:
    """Found by 200 interrupts of lesson 09 in a kernel: one came between os.open() and open()."""
    path = tmp_path / "lock"
    path.touch()
    note = lock._FileNote(path)
    before = len(os.listdir("/proc/self/fd"))
    for number in every_interrupt(lambda: note.write("x") if use == "write" else note.read(), [lock, folders]):
        assert len(os.listdir("/proc/self/fd")) == before, f"line {number}"
