# SPDX-License-Identifier: Apache-2.0
"""A cgroup of the lab's own: who is in it, how it ends, what a killed run leaves, and machines that have none."""

from __future__ import annotations

import ctypes
import os
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.errors import BadArgument, LabkitError
from labkit.machine.folders import repo_folder
from labkit.running.cgroup import Cgroup, lab_parent, sweep_cgroups
from labkit.running.sweep import sweep

pytestmark = pytest.mark.bpf


def cgroup_of(pid: int | str) -> str:
    """Return the cgroup v2 path of a process, as the kernel tells it."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line[3:] for line in lines if line.startswith("0::"))


def ended(handle: int) -> bool:
    """Tell whether the process behind a pidfd has ended, waiting for it."""
    return bool(select.select([handle], [], [], 10)[0])


def kernel_id(folder: Path) -> int:
    """Return a cgroup's id as name_to_handle_at(2) tells it."""

    class Handle(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("id", ctypes.c_uint64)]

    handle, mount = Handle(bytes=8), ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.name_to_handle_at(-100, bytes(folder), ctypes.byref(handle), ctypes.byref(mount), 0) == 0
    return int(handle.id)


def pids_in(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]


# -- inside ---------------------------------------------------------------------------------------------


def test_a_command_is_born_inside() -> None:
    with Cgroup() as cgroup:
        told = subprocess.run(cgroup.command(["cat", "/proc/self/cgroup"]), capture_output=True, text=True, check=True)
        assert told.stdout.splitlines()[-1].endswith(f"/{cgroup.path.name}")


def test_a_command_keeps_its_arguments() -> None:
    words = ["two words", "'quoted'", "$HOME", ""]
    with Cgroup() as cgroup:
        told = subprocess.run(cgroup.command(["printf", "%s\n", *words]), capture_output=True, text=True, check=True)
    assert told.stdout.split("\n")[:-1] == words


def test_a_process_that_is_added_is_in_it() -> None:
    with Cgroup() as cgroup, subprocess.Popen(["sleep", "600"]) as sleeper:
        cgroup.add(sleeper.pid)
        assert cgroup_of(sleeper.pid).endswith(f"/{cgroup.path.name}")
        assert pids_in(cgroup.path) == [sleeper.pid]
        sleeper.kill()


def test_the_inode_number_of_its_folder_is_the_kernels_id() -> None:
    """`Program.aim` rests on it."""
    with Cgroup() as cgroup:
        assert cgroup.path.stat().st_ino == kernel_id(cgroup.path)


def test_it_is_a_child_of_the_cgroup_that_this_process_is_in() -> None:
    with Cgroup() as cgroup:
        assert cgroup.path.parent == lab_parent()
    assert str(lab_parent()).endswith(cgroup_of("self").rstrip("/"))


def test_a_process_that_does_not_exist_is_refused() -> None:
    with Cgroup() as cgroup, pytest.raises(BadArgument, match="pid=4194304 is not a running process"):
        cgroup.add(4194304)  # PID_MAX_LIMIT: no process has it


def test_outside_its_block_it_says_so() -> None:
    with pytest.raises(LabkitError, match="does not exist now"):
        _ = Cgroup().path


# -- the end --------------------------------------------------------------------------------------------


def test_leaving_ends_all_that_is_in_it() -> None:
    with Cgroup() as cgroup:
        script = "setsid sleep 600 & sleep 600 & echo started; wait"
        shell = subprocess.Popen(cgroup.command(["sh", "-c", script]), stdout=subprocess.PIPE)
        assert shell.stdout.readline() == b"started\n"
        handles = [os.pidfd_open(pid) for pid in pids_in(cgroup.path)]
        folder = cgroup.path
    assert all(ended(handle) for handle in handles)
    assert not folder.exists()
    shell.wait()
    shell.stdout.close()
    for handle in handles:
        os.close(handle)


def test_leaving_by_an_exception_removes_it() -> None:
    with pytest.raises(ZeroDivisionError), Cgroup() as cgroup:
        folder = cgroup.path
        _ = 1 // 0
    assert not folder.exists()


def test_this_process_is_moved_back_instead_of_ended() -> None:
    before = cgroup_of("self")
    with Cgroup() as cgroup:
        cgroup.add(os.getpid())
        assert cgroup_of("self") != before
    assert cgroup_of("self") == before


def test_without_cgroup_kill_the_processes_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def refuse(self: Path, *arguments: object, **options: object) -> int:
        if self.name == "cgroup.kill":
            raise FileNotFoundError(2, "No such file or directory")  # as before Linux 5.14
        return write(self, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", refuse)
    with Cgroup() as cgroup:
        command = cgroup.command(["sh", "-c", "echo started; exec sleep 600"])
        sleeper = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert sleeper.stdout.readline() == b"started\n"
    assert sleeper.wait() == -signal.SIGKILL
    sleeper.stdout.close()


# -- what a killed run leaves ---------------------------------------------------------------------------

HOLDER = """
import subprocess, sys
from labkit.running.cgroup import Cgroup
with Cgroup() as cgroup:
    sleeper = subprocess.Popen(["sleep", "600"])
    cgroup.add(sleeper.pid)
    print(cgroup.path, sleeper.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder():
    """Start another lab that holds a cgroup with a process in it; yield it, the cgroup's folder, and that process."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=pipe, stdout=pipe, text=True, cwd=repo_folder()) as lab:
        folder, pid = lab.stdout.readline().split()
        handle = os.pidfd_open(int(pid))
        yield lab, Path(folder), handle
        os.close(handle)
        lab.kill()


def test_a_cgroup_in_use_is_not_swept(holder) -> None:
    lab, folder, _ = holder
    assert folder not in sweep_cgroups()
    assert folder.is_dir()
    lab.communicate()
    assert not folder.exists()


def test_what_a_killed_run_left_is_swept_with_its_processes(holder) -> None:
    lab, folder, sleeper = holder
    lab.kill()
    lab.wait()
    assert folder.is_dir()
    assert folder in sweep_cgroups()
    assert not folder.exists()
    assert ended(sleeper)


def test_the_next_cgroup_sweeps_by_itself(holder) -> None:
    lab, folder, _ = holder
    lab.kill()
    lab.wait()
    with Cgroup():
        assert not folder.exists()


def test_every_measurement_sweeps_them(holder) -> None:
    lab, folder, sleeper = holder
    lab.kill()
    lab.wait()
    assert folder in sweep()
    assert not folder.exists()
    assert ended(sleeper)


@pytest.mark.parametrize("name", ["labkit-notebook.service", "labkit-abcd1234.scope", "labkit-abcd"])
def test_a_cgroup_that_only_resembles_one_of_the_labs_is_not_swept(name: str) -> None:
    folder = lab_parent() / name
    folder.mkdir()
    try:
        assert folder not in sweep_cgroups()
        assert folder.is_dir()
    finally:
        folder.rmdir()


def test_a_cgroup_that_vanishes_while_they_are_looked_for_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, plain = lab_parent() / "gone", os.scandir
    folder.mkdir()

    def vanishing(path):
        if Path(path) == folder:
            folder.rmdir()
        return plain(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    sweep_cgroups()
    assert not folder.exists()


def test_a_cgroup_that_is_swept_while_it_is_made_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.open

    def swept(path, *arguments, **options):
        if Path(path).parent == lab_parent():
            monkeypatch.setattr(os, "open", plain)
            Path(path).rmdir()
        return plain(path, *arguments, **options)

    monkeypatch.setattr(os, "open", swept)
    with Cgroup() as cgroup:
        assert cgroup.path.is_dir()


# -- machines that have none ----------------------------------------------------------------------------

TRY = """
from labkit.running.cgroup import Cgroup
from labkit.errors import Missing
try:
    with Cgroup() as cgroup:
        print("made", cgroup.path.parent)
except Missing as error:
    print(error.what)
    print(error.fix)
"""


MOUNTED = "$(grep -w cgroup2 /proc/self/mounts | cut -d ' ' -f 2)"
UNMOUNT = f"for top in {MOUNTED}; do umount -l $top; done"


def elsewhere(*commands: str, unshare: str = "--mount", inside: Cgroup | None = None) -> list[str]:
    """Run `TRY` in namespaces of its own after some shell commands; return its lines."""
    script = "; ".join(["set -e", *commands, f"exec {shlex.quote(sys.executable)} -c {shlex.quote(TRY)}"])
    command = ["unshare", *unshare.split(), "sh", "-c", script]
    command = inside.command(command) if inside else command
    done = subprocess.run(command, capture_output=True, text=True, cwd=repo_folder(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_without_cgroup_v2_it_says_how_to_mount_it() -> None:
    what, fix = elsewhere(UNMOUNT)
    assert "cgroup v2 is not mounted" in what
    assert "mount -t cgroup2" in fix


def test_a_read_only_mount_is_named() -> None:
    what, fix = elsewhere(f"for top in {MOUNTED}; do mount -o remount,bind,ro $top; done")
    assert "may not be written: a read-only mount" in what
    assert "remount,rw" in fix


def test_it_is_found_wherever_it_is_mounted(tmp_path: Path) -> None:
    (line,) = elsewhere(UNMOUNT, f"mount -t cgroup2 none {tmp_path}")
    assert line.startswith(f"made {tmp_path}")


def test_in_a_container_with_a_cgroup_namespace_it_is_made_below_the_containers(tmp_path: Path) -> None:
    with Cgroup() as container:
        (line,) = elsewhere(UNMOUNT, f"mount -t cgroup2 none {tmp_path}", unshare="--mount --cgroup", inside=container)
    assert line == f"made {tmp_path}"  # the top of what the container sees is its own cgroup


def test_in_a_container_with_the_hosts_tree_too_the_containers_own_is_taken(tmp_path: Path) -> None:
    with Cgroup() as container:
        (line,) = elsewhere(f"mount -t cgroup2 none {tmp_path}", unshare="--mount --cgroup", inside=container)
    assert line == f"made {tmp_path}"


def test_in_a_container_with_nothing_but_the_hosts_tree_it_says_how_to_mount_its_own() -> None:
    with Cgroup() as container:
        what, fix = elsewhere(unshare="--mount --cgroup", inside=container)
    assert "cgroup v2 is not mounted" in what
    assert "mount -t cgroup2" in fix
