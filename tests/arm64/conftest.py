# SPDX-License-Identifier: Apache-2.0
"""What an arm64 build on this machine needs, fetched once into the cache folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from labkit.errors import Missing
from labkit.machine.kernels.fetch import fetch_arm64

REQUIRE = "LABKIT_REQUIRE_ARM64"  # =1: a test that would skip fails


def cannot(why: str) -> None:
    """Skip with the reason, or fail where this machine says that it can."""
    if os.environ.get(REQUIRE, "") not in ("", "0"):
        pytest.fail(f"{REQUIRE}=1, and arm64 cannot be tried: {why}", pytrace=False)
    pytest.skip(f"arm64 not tried: {why} ({REQUIRE}=1 makes this a failure)")


@pytest.fixture(scope="session")
def arm64() -> Path:
    """The folder with arm64 kernel headers and libraries."""
    try:
        return fetch_arm64()
    except Missing as error:
        cannot(f"{error.what} {error.fix}")
        raise


@pytest.fixture(scope="session")
def cross(arm64: Path) -> Path:
    """The same, where the cross compiler and the user-mode emulator are there too."""
    absent = [
        name
        for name in ("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++", "qemu-aarch64-static")
        if shutil.which(name) is None
    ]
    if absent:
        cannot(f"{', '.join(absent)} not installed")
    return arm64
