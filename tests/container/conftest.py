# SPDX-License-Identifier: Apache-2.0
"""The image, built once; a container of it, once privileged and once reduced."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from container.box import BASE, NAME, STORE, Box, build, engine, make_base

from labkit.machine.folders import build_folder

# `make test` does not build images
collect_ignore_glob = [] if os.environ.get("LABKIT_TEST_CONTAINER") else ["test_*.py"]


@pytest.fixture(scope="session")
def facts() -> Iterator[dict[str, Any]]:
    """What was measured: kept in build/container.json, and printed at the end."""
    known: dict[str, Any] = {}
    yield known
    (build_folder() / "container.json").write_text(json.dumps(known, indent=2) + "\n")


@pytest.fixture(scope="session")
def base() -> str:
    """Return the name of the base image, which the store has then."""
    for need in ("podman", "runc", "slirp4netns", "debootstrap"):
        if shutil.which(need) is None:
            pytest.fail(f"{need} is missing: scripts/setup.sh engine", pytrace=False)
    if os.geteuid() != 0:
        pytest.fail("not root: sudo make test-container", pytrace=False)
    folder = STORE / f"base.{os.getpid()}"
    try:
        make_base(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return f"docker.io/library/{BASE[0]}"


@pytest.fixture(scope="session")
def image(base: str, facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Build the image and yield what the engine reports about it."""
    build()
    [inspected] = json.loads(engine("image", "inspect", "labkit:local"))
    facts["image_mb"] = round(inspected["Size"] / 1e6)
    yield inspected
    engine("image", "prune", "--force", timeout_s=300)


@pytest.fixture(scope="module", params=["privileged", "reduced"])
def box(request: pytest.FixtureRequest, image: object, facts: dict[str, Any]) -> Iterator[Box]:
    """Yield a running lab."""
    running = Box(reduced=request.param == "reduced", mark=f"container-{os.getpid()}-{request.param}")
    try:
        running.start()
        facts[f"start_s, {request.param}"] = running.start_s
        yield running
    finally:
        engine("rm", "--force", NAME, check=False)
        engine("volume", "rm", "--force", f"{NAME}-data", f"{NAME}-learner", check=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    file = build_folder() / "container.json"
    if os.environ.get("LABKIT_TEST_CONTAINER") and file.exists():
        terminalreporter.write_line(f"{file}: {file.read_text()}")
