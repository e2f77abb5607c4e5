# SPDX-License-Identifier: Apache-2.0
"""The image, built once; one hub under podman for all tests; a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from browser.chromium import chromium
from container.box import STORE, make_base
from hub.hub import Hub, Learner, build_image
from leftovers import MARK
from playwright.sync_api import Browser, expect

EXPECT_MS = 60_000  # until a page shows what it must: a second on a quiet machine
# `make test` does not build images: `make test-hub` does
collect_ignore_glob = [] if os.environ.get("LABKIT_TEST_HUB") else ["test_*.py"]


@pytest.fixture(scope="session")
def image() -> None:
    """Build the class's image, over a base made of packages."""
    for need in ("podman", "runc", "debootstrap", "chromium"):
        if shutil.which(need) is None:
            pytest.fail(f"{need} is missing: scripts/setup.sh engine", pytrace=False)
    if os.geteuid() != 0:
        pytest.fail("not root: sudo make test-hub", pytrace=False)
    folder = STORE / f"base.{os.getpid()}"
    try:
        make_base(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    build_image()


@pytest.fixture(scope="module")
def hub(image: None) -> Iterator[Hub]:
    """Yield a hub to which no learner has come yet."""
    running = Hub({MARK: f"hub-{os.getpid()}"})
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=EXPECT_MS)
    with chromium() as started:
        yield started


@pytest.fixture
def learner(hub: Hub, browser: Browser) -> Iterator[Callable[[str], Learner]]:
    """Return what opens a window for a learner; all are closed afterwards."""
    opened: list[Learner] = []

    def open_window(name: str) -> Learner:
        opened.append(Learner(browser, hub, name))
        return opened[-1]

    yield open_window
    for window in opened:
        window.close()
