# SPDX-License-Identifier: Apache-2.0
"""The verifier's walk in JupyterLab: with the keyboard alone, and with what a screen reader gets."""

from __future__ import annotations

import pytest
from browser.lab import CELL_MS, Server, hindrances, open_notebook, picture, run_all_cells
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.bpf]

WRONG = """%%bpf cell --no-attach
BPF_HASH(calls, u32, u64);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
    u32 k = 1;
    u64 *n = calls.lookup(&k);
    *n += 1;
    return 0;
}
"""


def test_the_walk_is_stepped_through_with_the_keyboard(page: Page, server: Server) -> None:
    open_notebook(page, server, server.write("walk.ipynb", "%load_ext labkit", WRONG, "cell.walk()"))
    run_all_cells(page)
    panel = page.locator(".labkit-panel")
    status = panel.get_by_role("status")
    expect(status).to_contain_text("Here the verifier stopped", timeout=CELL_MS)
    origin = panel.get_by_role("button", name="Where its value came from")
    origin.focus()
    page.keyboard.press("Enter")
    expect(status).to_contain_text("R0 got its value here")
    expect(panel.locator("[aria-current=step]")).to_contain_text("u64 *n = calls.lookup(&k);")
    expect(panel.locator("tr", has_text="R0").first).to_contain_text("changed")
    panel.get_by_role("button", name="Back").focus()
    page.keyboard.press("Space")
    expect(status).not_to_contain_text("R0 got its value here")
    assert hindrances(page) == []
    picture(panel, "walk")
