# SPDX-License-Identifier: Apache-2.0
"""Fixtures: the site that `make docs` built, and one Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from tree import ROOT

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def site() -> Path:
    if os.environ.get("LABKIT_TEST_SITE") != "1":
        pytest.skip("the site is built and looked at by `make test-docs`, which sets LABKIT_TEST_SITE=1")
    return ROOT / "build" / "site"


@pytest.fixture(scope="session")
def browser(site: Path) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()
