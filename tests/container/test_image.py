# SPDX-License-Identifier: Apache-2.0
"""The image: what is in it, and what is not."""

from __future__ import annotations

import hashlib
import subprocess
from typing import Any

import pytest
from container.box import ENGINE, RUN_FLAGS, engine, rows
from tree import ROOT

pytestmark = pytest.mark.container


def inside(*words: str, flags: tuple[str, ...] = ()) -> str:
    """Run a command in a container of its own that has no privileges."""
    return engine("run", "--rm", *RUN_FLAGS, *flags, "--entrypoint", words[0], "labkit:local", *words[1:])


def test_the_lessons_in_it_are_those_of_this_tree(image: dict[str, Any]) -> None:
    wanted = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in ROOT.glob("notebooks/*.ipynb")}
    told = inside("sh", "-c", "sha256sum /lab/notebooks/*.ipynb").splitlines()
    assert {line.split("/")[-1]: line.split()[0] for line in told} == wanted


def test_every_package_of_the_list_is_in_it(image: dict[str, Any]) -> None:
    wanted = inside("scripts/packages.sh", "run", "image").split()
    there = inside("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n").splitlines()
    assert {f"installed {package}" for package in wanted} <= set(there)


def test_it_holds_no_kernel_no_caches_and_nothing_of_the_builder(image: dict[str, Any]) -> None:
    found = inside(
        "sh", "-c", "ls -A /boot /lib/modules /var/lib/apt/lists /var/cache; ls -A /lab; find / -xdev -name .git"
    )
    names = [line for line in found.splitlines() if line and not line.endswith(":")]
    assert {".venv", "c", "notebooks"} <= set(names)
    assert not {".git", "tests", ".hypothesis"} & set(names)
    assert not [name for name in names if name.startswith(("vmlinuz", "initrd", "archives"))]


def test_the_c_programs_are_built(image: dict[str, Any]) -> None:
    listed = inside("sh", "-c", "ls /lab/build/workloads").split()
    assert {"hello", "io_engines", "ping_pong"} <= set(listed)


def test_a_health_check_and_an_init_are_set(image: dict[str, Any]) -> None:
    config = image["Config"]
    assert config["Entrypoint"][0] == "tini"
    assert any("container-health.sh" in word for word in image["Healthcheck"]["Test"])
    assert not [line for line in config["Env"] if "TOKEN" in line or "PASSWORD" in line or "proxy" in line.lower()]


def test_the_doctor_names_the_flag_that_gives_io_uring_back(image: dict[str, Any], tmp_path: Any) -> None:
    """Docker's usual seccomp profile refuses io_uring; this one refuses nothing else."""
    profile = tmp_path / "seccomp.json"
    profile.write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ERRNO", "errnoRet": 1, '
        '"names": ["io_uring_setup", "io_uring_enter", "io_uring_register"]}]}'
    )
    ask = ("python", "-m", "labkit", "doctor", "--json", "--lesson", "08")
    refused = rows(inside(*ask, flags=("--security-opt", f"seccomp={profile}")))["io_uring"]
    assert refused["state"] == "refused"
    assert "seccomp" in refused["reason"]
    assert "--security-opt seccomp=unconfined" in refused["fix"]
    assert rows(inside(*ask, flags=("--security-opt", "seccomp=unconfined")))["io_uring"]["state"] == "ok"


def test_without_privileges_it_starts_and_says_what_is_missing(image: dict[str, Any]) -> None:
    command = [*ENGINE, "run", "--rm", *RUN_FLAGS, "labkit:local", "labkit", "doctor", "--json", "--lesson", "01"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    told = rows(ran.stdout[ran.stdout.index("{") :])
    assert told["bpf"]["state"] == "refused"
    assert "make container" in told["bpf"]["fix"]
