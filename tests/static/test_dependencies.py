# SPDX-License-Identifier: Apache-2.0
"""A dependency is written by hand once: in pyproject.toml, or in packages.txt."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tree import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUN = [Requirement(line) for line in PROJECT["dependencies"]]
TEST = [Requirement(line) for line in PROJECT["optional-dependencies"]["test"]]
DOCS = [Requirement(line) for line in PROJECT["optional-dependencies"]["docs"]]
LOCKS = ["requirements.lock", "requirements-test.lock", "requirements-docs.lock"]


def locked(lock: str) -> dict[str, str]:
    """Return package -> version."""
    pins = re.findall(r"^([\w.-]+)==([\w.+!]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


@pytest.mark.parametrize(("lock", "wanted"), list(zip(LOCKS, (RUN, RUN + TEST, RUN + DOCS), strict=True)), ids=LOCKS)
def test_the_lock_serves_what_the_project_asks_for(lock: str, wanted: list[Requirement]) -> None:
    pins = locked(lock)
    unmet = [str(need) for need in wanted if not need.specifier.contains(pins.get(canonicalize_name(need.name), "0"))]
    assert unmet == [], "run `make lock`"


@pytest.mark.parametrize("lock", LOCKS[1:])
def test_another_lock_has_the_lessons_versions(lock: str) -> None:
    assert locked(LOCKS[0]).items() <= locked(lock).items()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock: str) -> None:
    blocks = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_names_no_host(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()


def test_bcc_of_pypi_is_asked_for_nowhere() -> None:
    assert "bcc" not in {need.name for need in RUN + TEST} | locked(LOCKS[1]).keys()


def test_conda_repeats_no_version() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *plain, last = environment["dependencies"]
    assert plain == ["python", "pip"]
    assert last == {"pip": ["--editable ."]}


def lines() -> list[str]:
    text = (ROOT / "packages.txt").read_text().splitlines()
    return [line for line in text if line and not line.startswith("#")]


@pytest.mark.parametrize("line", lines(), ids=lambda line: line.split()[1])
def test_a_package_line_is_well_formed(line: str) -> None:
    sections = "run|test|cross|image|engine|emulate"
    assert re.fullmatch(rf"({sections})(/debian|/ubuntu)? +[a-z0-9][a-z0-9+.@A-Z-]+( +# .+)?", line)


def test_no_package_is_named_twice() -> None:
    names = [tuple(line.split()[:2]) for line in lines()]
    assert len(set(names)) == len(names)


def test_packages_are_named_in_that_one_list_only() -> None:
    """setup and the container image read the list; neither may install something besides."""
    for name in ("scripts/setup.sh", "Dockerfile", "Makefile"):
        path = Path(ROOT / name)
        text = path.read_text() if path.exists() else ""
        assert not re.search(r"install [^\n]*\b(python3-bpfcc|liburing-dev|fio)\b", text)
