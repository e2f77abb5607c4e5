# SPDX-License-Identifier: Apache-2.0
"""Fixtures: one JupyterLab and one Chromium for all tests, a page for each file of tests, a picture of every test."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from browser.chromium import chromium
from browser.lab import Server, picture, serve
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

# what JupyterLab itself says in the console on a good day
HARMLESS = re.compile(
    r"favicon|source ?map|ResizeObserver|Failed to load resource.*(404|workspaces|lsp)", re.IGNORECASE
)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def tab(browser: Browser, server: Server) -> Iterator[tuple[Page, list[str]]]:
    """Yield a page, which the tests of one file share (JupyterLab takes seconds to load), and its console's errors."""
    context: BrowserContext = browser.new_context(viewport={"width": 1400, "height": 1000})
    made = context.new_page()
    errors: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and not HARMLESS.search(message.text):
            errors.append(message.text)

    made.on("console", listen)
    made.on("pageerror", lambda error: errors.append(str(error)))
    made.on("dialog", lambda dialog: dialog.accept())  # "Leave site?", when a test goes on to another notebook
    yield made, errors
    context.close()
    server.end_kernels()


@pytest.fixture
def page(tab: tuple[Page, list[str]], request: pytest.FixtureRequest) -> Iterator[Page]:
    """Yield the page; afterwards keep a picture of it, and fail if its console reported errors."""
    made, errors = tab
    errors.clear()
    yield made
    picture(made, request.node.name)
    assert not errors, "the browser's console: " + "\n".join(errors)
