# SPDX-License-Identifier: Apache-2.0
"""Lesson 07's panel as a learner uses it: choose block sizes, Run, Run again, Stop, Clear."""

from __future__ import annotations

import re

import pytest
from browser.lab import CELL_MS, Server, open_notebook, picture, run_all_cells, tick
from playwright.sync_api import Locator, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.bpf]


@pytest.fixture
def panel(page: Page, server: Server) -> Locator:
    """Open the lesson's panel of the engines and return it, in view; test_lessons.py runs the whole lesson."""
    cell = "from labkit.lessons import io_engines\nio_engines.panel()"
    open_notebook(page, server, server.write("engines.ipynb", cell))
    run_all_cells(page)
    found = page.locator(".labkit-panel", has=page.get_by_role("heading", name="Three ways to read"))
    expect(found).to_be_visible(timeout=CELL_MS)
    found.scroll_into_view_if_needed()
    return found


def press(panel: Locator, name: str) -> None:
    panel.get_by_role("button", name=name).click()


def fill(panel: Locator, label: str, value: str) -> None:
    panel.get_by_label(label).fill(value)
    panel.get_by_label(label).press("Tab")


def test_lesson_07_block_sizes_are_compared_over_two_runs_and_a_third_is_stopped(page: Page, panel: Locator) -> None:
    tick(panel, "block sizes", ["4 KiB", "64 KiB", "1 MiB"])
    fill(panel, "seconds per slice", "0.02")
    press(panel, "Run")
    finding = panel.get_by_text(re.compile("as many bytes per second as"))
    expect(finding).to_be_visible(timeout=CELL_MS)
    expect(panel.get_by_role("img")).to_be_visible()
    picture(page, "lesson-07-after-run")

    tick(panel, "ways to the file", ["page cache, warm"])
    press(panel, "Run")
    expect(panel.get_by_role("cell", name="page cache, warm").first).to_be_visible(timeout=CELL_MS)
    expect(panel.get_by_role("cell", name="O_DIRECT").first).to_be_visible()
    note = panel.locator(".labkit-note", has_text="Run 2.")
    said = note.inner_text()
    picture(page, "lesson-07-two-runs")

    fill(panel, "seconds per slice", "5")
    press(panel, "Run")
    expect(panel.get_by_text(re.compile("left$"))).to_be_visible(timeout=CELL_MS)
    picture(page, "lesson-07-in-mid-run")
    press(panel, "Stop")
    expect(panel.get_by_text("Stopped. Nothing was kept")).to_be_visible(timeout=CELL_MS)
    expect(note).to_have_text(said)  # of the runs before
    picture(page, "lesson-07-stopped")

    press(panel, "Clear")
    expect(finding).to_have_count(0)
