# SPDX-License-Identifier: Apache-2.0
"""The container's files keep their promises: this machine only, a token always, one list of packages, no surprises."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tree import ROOT, files, named

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = sorted(COMPOSE["services"])
STARTED = [*(ROOT / name for name in ("Dockerfile", "compose.yaml", "Makefile")), *named(".sh", under="scripts")]
# what lets anybody in, written so that this file does not hold it
OPEN = re.compile(
    "|".join([r"tok" r"en=['\"]{2}", r"tok" r"en=\s", r"pass" r"word=", r"disable_check_" r"xsrf", r"allow_" r"origin"])
)


def service(name: str) -> dict[str, Any]:
    return dict(COMPOSE["services"][name])


def flags(**settings: str) -> list[str]:
    """Return what scripts/container.sh would give to `run`."""
    environment = {**os.environ, "ENGINE": "engine", "DRY_RUN": "1", **settings}
    command = [ROOT / "scripts/container.sh"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    [line] = [line for line in ran.stderr.splitlines() if line.startswith("engine run ")]
    return shlex.split(line)


def values(words: list[str], flag: str) -> list[str]:
    return [value for name, value in itertools.pairwise(words) if name == flag]


@pytest.mark.parametrize("name", SERVICES)
def test_only_this_machine_is_served(name: str) -> None:
    assert service(name)["ports"] == ["127.0.0.1:8888:8888"]
    assert "network_mode" not in service(name)


@pytest.mark.parametrize("name", SERVICES)
def test_the_script_gives_what_compose_gives(name: str) -> None:
    """The script is for those who have no compose; a flag that one of the two lacks would be a fault of either."""
    given, wanted = flags(REDUCED="1" if name == "reduced" else ""), service(name)
    there = [
        volume for volume in wanted["volumes"] if not volume.endswith(":ro") or Path(volume.split(":")[0]).is_dir()
    ]
    named_volumes = {key: volume["name"] for key, volume in COMPOSE["volumes"].items()}
    source = {volume: volume.split(":")[0] for volume in there}
    assert values(given, "--volume") == [
        volume.replace(source[volume], named_volumes.get(source[volume], source[volume]), 1)
        for volume in sorted(there, key=lambda volume: source[volume] not in named_volumes)
    ]
    assert values(given, "--publish") == wanted["ports"]
    assert values(given, "--cap-add") == wanted.get("cap_add", [])
    assert values(given, "--security-opt") == wanted.get("security_opt", [])
    assert values(given, "--cgroupns") == [wanted["cgroup"]]
    assert values(given, "--shm-size") == [wanted["shm_size"]]
    assert values(given, "--pid") == ([wanted["pid"]] if "pid" in wanted else [])
    assert ("--privileged" in given) == wanted.get("privileged", False)
    assert given[-1] == wanted["image"]


def test_another_port_is_of_this_machine_too() -> None:
    assert values(flags(PORT="9999"), "--publish") == ["127.0.0.1:9999:8888"]


def test_the_reduced_lab_is_reduced() -> None:
    assert "privileged" not in service("reduced") and "pid" not in service("reduced")
    assert service("reduced")["profiles"] == ["reduced"]


def test_each_privilege_has_its_reason() -> None:
    text = (ROOT / "compose.yaml").read_text().partition("services:")[2].partition("  reduced:")
    full = [line for line in text[0].splitlines() if re.search(r"privileged|pid:|- \S+:/|- /", line)]
    reduced = [line for line in text[2].splitlines() if re.match(r" +- [A-Z_]+|.*=unconfined", line)]
    assert len(full) > 6 and len(reduced) > 6
    assert [line for line in full + reduced if " # " not in line] == []


@pytest.mark.parametrize("path", STARTED, ids=lambda path: path.name)
def test_nothing_turns_the_token_off(path: Path) -> None:
    assert OPEN.findall(path.read_text()) == []


def test_images_have_a_version() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases == ["debian:trixie-slim"]
    names = [*bases, *(service(name)["image"] for name in SERVICES)]
    assert all(":" in name and not name.endswith(":latest") for name in names)


def test_it_serves_both_architectures() -> None:
    text = DOCKERFILE + (ROOT / "packages.txt").read_text()
    instructions = "\n".join(line for line in text.splitlines() if not line.startswith(("#", "cross")))
    assert not re.search(r"amd64|arm64|x86_64|aarch64|--platform", instructions)


def test_packages_come_from_the_one_list() -> None:
    [install] = re.findall(r"apt-get install (.*?) \\\n", DOCKERFILE)
    assert [word for word in install.split(" ", 2) if not word.startswith("-")] == ["$(scripts/packages.sh run image)"]


def test_what_changes_often_is_copied_last() -> None:
    copies = re.findall(r"^(?:COPY|RUN).*", DOCKERFILE, re.MULTILINE)
    assert copies.index("COPY . .") == len(copies) - 2
    assert not re.search(r"labkit/|notebooks|c/", " ".join(copies[: copies.index("COPY . .")]))


def test_the_build_sees_no_secrets_and_nothing_made() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".*", "build", "data", "learner", "**/__pycache__"} <= set(ignored)
    assert not re.search(r"^(ARG|ENV).*(TOKEN|PASSWORD|SECRET)", DOCKERFILE, re.MULTILINE)


def test_a_hosted_workspace_is_the_same_container() -> None:
    text = (ROOT / ".devcontainer/devcontainer.json").read_text()
    settings = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    assert ROOT / ".devcontainer" / settings["build"]["dockerfile"] in [ROOT / ".devcontainer/../Dockerfile"]
    assert settings["privileged"] is True
    assert ROOT / ".devcontainer/devcontainer.json" in files()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with no container engine."""
    for name in ("dirname", "id", "grep"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    return tmp_path


def start(path: Path, docker: str = "") -> list[str]:
    """Run scripts/container.sh with a docker of our own, or none, and return the lines of its error."""
    if docker:
        (path / "docker").write_text(f"#!/bin/sh\n{docker}\n")
        (path / "docker").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "ENGINE"}
    environment |= {"PATH": str(path), "DRY_RUN": "1"}
    command = ["/bin/sh", str(ROOT / "scripts/container.sh")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    return ran.stderr.splitlines()


def test_without_an_engine_it_says_what_to_install(bare: Path) -> None:
    assert start(bare) == [
        "container: There is neither docker nor podman here.",
        "Fix: sudo apt-get install podman   (or without a container: make lab)",
    ]


def test_an_engine_that_does_not_answer_is_told_apart(bare: Path) -> None:
    what, fix = start(bare, docker="exit 1")
    assert "tried: docker" in what and "systemctl start docker" in fix


def test_an_engine_without_root_is_refused_before_a_build(bare: Path) -> None:
    what, fix = start(bare, docker='echo " Security Options:"; echo "  seccomp"; echo "  rootless"')
    assert "without root" in what and "ENGINE=" in fix
