# SPDX-License-Identifier: Apache-2.0
"""Fixtures: the site that `make docs` built, and one Chromium."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.chromium import chromium
from playwright.sync_api import Browser
from tree import ROOT


@pytest.fixture(scope="session")
def site() -> Path:
    if os.environ.get("LABKIT_TEST_SITE") != "1":
        pytest.skip("the site is built and looked at by `make test-docs`, which sets LABKIT_TEST_SITE=1")
    return ROOT / "build" / "site"


@pytest.fixture(scope="session")
def browser(site: Path) -> Iterator[Browser]:
    with chromium() as started:
        yield started
