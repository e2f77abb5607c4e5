# SPDX-License-Identifier: Apache-2.0
"""Lesson 03's workshop in JupyterLab: predict the cause, read the verdict, repair the program."""

from __future__ import annotations

import pytest
from browser.lab import CELL_MS, Server, open_notebook, run_all_cells
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.bpf]


def test_a_program_is_predicted_and_repaired(page: Page, server: Server) -> None:
    cells = ("import labkit\nfrom labkit.lessons import verifier", "verifier.workshop()")
    open_notebook(page, server, server.write("workshop.ipynb", *cells))
    run_all_cells(page)
    panel = page.locator(".labkit-panel")
    panel.get_by_label("bounds").check()
    panel.get_by_role("button", name="Ask the verifier").click()
    expect(panel.get_by_text("You predicted bounds, and the verifier agrees.")).to_be_visible(timeout=CELL_MS)
    expect(panel.get_by_text("The raw log")).to_be_visible()
    panel.get_by_role("button", name="Show the fix").click()
    panel.get_by_role("button", name="Ask the verifier").click()
    expect(panel.get_by_text("1 of 10 programs repaired.")).to_be_visible(timeout=CELL_MS)
