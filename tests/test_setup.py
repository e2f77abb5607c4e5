# SPDX-License-Identifier: Apache-2.0
"""Setup says in two lines what stops it; what it needs of a machine is played by small programs put before the real."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tree import ROOT

pytestmark = pytest.mark.skipif(shutil.which("dpkg") is None, reason="the lab's packages come from Debian or Ubuntu")


class Machine:
    """A copy of the tree's scripts, with some of the machine's programs replaced."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self.bin = folder / "bin"
        self.calls = folder / "calls"
        self.bin.mkdir()
        self.calls.touch()
        shutil.copytree(ROOT / "scripts", self.tree / "scripts")
        for name in ("packages.txt", "pyproject.toml", "requirements.lock", "requirements-test.lock", "Makefile"):
            shutil.copy(ROOT / name, self.tree)

    def play(self, name: str, script: str) -> None:
        """Put a program in front of the machine's own; each call of it is noted."""
        program = self.bin / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{script}\n')
        program.chmod(0o755)

    def run(self, *command: str, path: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.tree,
            env={**os.environ, "PATH": f"{self.bin}:{path or os.environ['PATH']}", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def called(self, name: str) -> list[str]:
        return [line for line in self.calls.read_text().splitlines() if line.startswith(f"{name} ")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def bare(machine: Machine) -> Machine:
    """A machine without the packages, where apt-get would work."""
    machine.play("dpkg-query", "exit 1")
    machine.play("apt-get", "exit 0")
    machine.play("mount", "exit 0")
    return machine


def two_lines(text: str) -> tuple[str, str]:
    lines = [line for line in text.splitlines() if line.strip()]
    assert lines[-2].startswith("setup: ") and lines[-1].startswith("Fix: "), text
    return lines[-2], lines[-1]


def test_another_distribution_is_named_with_the_way_out(machine: Machine, tmp_path: Path) -> None:
    other = tmp_path / "other"  # all programs but apt-get and dpkg-query
    other.mkdir()
    for name in ("bash", "dirname", "mkdir", "cat", "id", "env"):
        (other / name).symlink_to(str(shutil.which(name)))
    ran = machine.run(str(shutil.which("bash")), "scripts/setup.sh", path=str(other))
    what, fix = two_lines(ran.stderr)
    assert ran.returncode != 0
    assert "not supported" in what and "Debian 12 or 13" in fix


def test_without_root_or_sudo_nothing_is_tried(bare: Machine, tmp_path: Path) -> None:
    bare.play("id", "echo 1000")
    plain = tmp_path / "plain"
    plain.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name not in ("sudo", "apt-get", "dpkg-query", "id"):
            (plain / program.name).symlink_to(program)
    ran = bare.run("scripts/setup.sh", path=str(plain))
    what, fix = two_lines(ran.stderr)
    assert ran.returncode != 0 and "Not root" in what and "sudo" in fix
    assert bare.called("apt-get") == []


def test_a_failing_apt_shows_its_words_and_the_command(bare: Machine) -> None:
    bare.play("id", "echo 0")
    bare.play("apt-get", 'case "$*" in *install*) echo "E: Unable to locate package fio"; exit 100;; esac')
    ran = bare.run("scripts/setup.sh")
    what, fix = two_lines(ran.stderr)
    assert ran.returncode != 0
    assert "Unable to locate package fio" in ran.stderr
    assert "python3-bpfcc" in what and "sudo apt-get install" in fix


def test_package_lists_that_cannot_be_read_are_told_apart(bare: Machine) -> None:
    bare.play("id", "echo 0")
    bare.play("apt-get", 'case "$*" in *update*) exit 100;; esac')
    what, _ = two_lines(bare.run("scripts/setup.sh").stderr)
    assert "package lists" in what


def test_without_root_sudo_is_used_for_packages(bare: Machine) -> None:
    bare.play("id", "echo 1000")
    bare.play("sudo", 'exec "$@"')
    assert bare.run("scripts/setup.sh", "packages").returncode == 0
    assert any("install --no-install-recommends" in call for call in bare.called("sudo"))


def test_no_service_comes_with_the_packages() -> None:
    """The package redis-server would start one, now and at each boot."""
    command = [ROOT / "scripts/packages.sh", "run", "test"]
    wanted = subprocess.run(command, capture_output=True, check=True).stdout.split()
    assert b"redis-tools" in wanted and b"redis-server" not in wanted


def test_packages_that_are_there_are_left_alone(bare: Machine) -> None:
    bare.play("dpkg-query", 'shift 3; for package in "$@"; do echo "installed $package"; done')
    assert bare.run("scripts/setup.sh", "packages").returncode == 0
    assert bare.called("apt-get") == []


def test_a_half_installed_package_is_installed_again(bare: Machine) -> None:
    bare.play("id", "echo 0")
    bare.play(
        "dpkg-query",
        'shift 3; for package in "$@"; do'
        ' if [ "$package" = fio ]; then echo "half-configured fio"; else echo "installed $package"; fi; done',
    )
    assert bare.run("scripts/setup.sh", "packages").returncode == 0
    assert [call.split()[-1] for call in bare.called("apt-get") if " install " in call] == ["fio"]


@pytest.mark.parametrize(
    ("os_release", "there", "absent"),
    [
        ("ID=debian\nVERSION_ID=13\n", {"bpftool", "chromium"}, {"linux-tools-generic", "linux-headers-generic"}),
        ("ID=ubuntu\nID_LIKE=debian\n", {"linux-tools-generic", "linux-headers-generic"}, {"bpftool", "chromium"}),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", {"linux-headers-generic"}, {"bpftool"}),
    ],
    ids=["debian", "ubuntu", "derivative"],
)
def test_each_distribution_has_its_names(machine: Machine, os_release: str, there: set[str], absent: set[str]) -> None:
    (machine.tree / "os-release").write_text(os_release)
    ran = machine.run("scripts/packages.sh", "run", "test", OS_RELEASE=str(machine.tree / "os-release"))
    names = set(ran.stdout.split())
    assert there <= names and not absent & names
    assert "python3-bpfcc" in names


def test_the_headers_package_is_that_of_the_architecture(machine: Machine) -> None:
    machine.play("dpkg", "echo arm64")
    (machine.tree / "os-release").write_text("ID=debian\n")
    ran = machine.run("scripts/packages.sh", "run", OS_RELEASE=str(machine.tree / "os-release"))
    assert "linux-headers-arm64" in ran.stdout.split()


def test_root_needs_no_sudo(machine: Machine) -> None:
    machine.play("id", "echo 0")
    machine.play("sudo", "exit 1")
    ran = machine.run("scripts/as-root.sh", "sh", "-c", "echo ran; exit 7")
    assert (ran.stdout, ran.returncode, machine.called("sudo")) == ("ran\n", 7, [])


def test_without_a_password_it_runs_as_it_is_and_says_so(machine: Machine) -> None:
    machine.play("id", "echo 1000")
    machine.play("sudo", "exit 1")
    ran = machine.run("scripts/as-root.sh", "echo", "ran")
    assert ran.stdout == "ran\n" and "Not root" in ran.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="plays sudo, which needs root: run `sudo make test`")
def test_what_root_wrote_is_given_back(machine: Machine) -> None:
    machine.play("id", "echo 1000")
    machine.play("sudo", 'while [ "${1#-}" != "$1" ]; do shift; done; SUDO_UID=1234 SUDO_GID=1234 exec "$@"')
    ran = machine.run("scripts/as-root.sh", "sh", "-c", "touch made; echo $LABKIT_QUICK; exit 7", LABKIT_QUICK="1")
    assert (ran.stdout, ran.returncode) == ("1\n", 7)
    assert (machine.tree / "made").stat().st_uid == 1234


def test_make_alone_lists_the_commands(machine: Machine) -> None:
    ran = machine.run("make", "--no-print-directory", MAKEFLAGS="")
    listed = [line.split()[1] for line in ran.stdout.splitlines()]
    assert {"setup", "lab", "lessons", "test", "clean"} <= set(listed)
    for target in listed:
        assert machine.run("make", "--dry-run", target, MAKEFLAGS="").returncode == 0


def test_ci_requires_bpf_and_reads_nothing(machine: Machine) -> None:
    shutil.copytree(ROOT / ".ci", machine.tree / ".ci")
    machine.play("make", 'echo "$LABKIT_REQUIRE_BPF"; cat')
    assert machine.run(".ci/run").stdout == "1\n"
    assert machine.called("make") == ["make test"]


@pytest.mark.parametrize(("known", "wanted"), [("exit 0", "linux-headers-9.9.9-lab"), ("exit 100", "linux-headers-")])
def test_the_running_kernels_own_headers_come_first(bare: Machine, known: str, wanted: str) -> None:
    """On Debian 13 the others bring a kernel along, which the machine would boot next time."""
    bare.play("id", "echo 0")
    bare.play("uname", "echo 9.9.9-lab")
    bare.play("apt-cache", known)
    assert bare.run("scripts/setup.sh", "packages").returncode == 0
    [install] = [call for call in bare.called("apt-get") if " install " in call]
    [headers] = [word for word in install.split() if word.startswith("linux-headers-")]
    assert headers.startswith(wanted) and ("9.9.9" in headers) == ("9.9.9" in wanted)


def test_headers_that_are_there_stay(machine: Machine) -> None:
    machine.play("id", "echo 0")
    machine.play("mount", "exit 0")
    machine.play("uname", "echo 9.9.9-lab")
    machine.play("apt-cache", "exit 0")
    machine.play("dpkg-query", 'exec /usr/bin/dpkg-query "$@"')
    machine.play("apt-get", "exit 100")
    assert "linux-headers-9.9.9-lab" not in machine.run("scripts/setup.sh", "packages").stderr


def test_a_folder_that_cannot_be_written_is_told(machine: Machine) -> None:
    (machine.tree / "build").write_text("a file where the folder should be")
    what, fix = two_lines(machine.run("scripts/setup.sh").stderr)
    assert "not yours to write" in what and "chown" in fix


@pytest.mark.parametrize("owner", [1000, 0])
def test_what_sudo_make_writes_belongs_to_the_owner_of_the_tree(machine: Machine, owner: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can act as sudo does")
    os.chown(machine.tree, owner, owner)
    ran = machine.run("scripts/as-root.sh", "touch", "made", SUDO_UID="1000", SUDO_GID="1000")
    assert ran.returncode == 0
    assert (machine.tree / "made").stat().st_uid == owner


def test_an_active_conda_environment_gets_the_links(machine: Machine, tmp_path: Path) -> None:
    if not Path("/usr/bin/redis-check-rdb").exists() or Path("/usr/bin/redis-server").exists():
        pytest.skip("redis-tools is not installed, or redis-server is: no link is needed")
    (tmp_path / "conda/bin").mkdir(parents=True)
    machine.play("mount", "exit 0")
    ran = machine.run("scripts/setup.sh", "packages", path="/usr/bin:/bin", CONDA_PREFIX=str(tmp_path / "conda"))
    assert ran.returncode == 0, ran.stderr
    assert os.readlink(tmp_path / "conda/bin/redis-server") == "/usr/bin/redis-check-rdb"
