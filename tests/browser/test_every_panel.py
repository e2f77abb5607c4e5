# SPDX-License-Identifier: Apache-2.0
"""Every panel of every lesson: nothing is cut off in three widths and two themes, and the keyboard reaches all of it.

LABKIT_PANEL_PICTURES=1 keeps a picture of each panel in each width and theme in build/browser/, to be looked at.
"""

from __future__ import annotations

import os
import re

import pytest
from browser.lab import CELL_MS, Server, change_theme, hindrances, open_notebook, picture, run_all_cells
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

CELL = """\
from importlib import import_module
from labkit.course import LESSONS
from IPython.display import display

panels = []
for lesson in LESSONS:
    home = f"labkit.lessons.{lesson.stem}"
    if hasattr(module := import_module(home), "panel"):
        subjects = getattr(import_module(f"{home}.panels"), "SUBJECTS", ())
        panels += [module.panel(*subject) for subject in [(), *((each,) for each in subjects[1:])]]
for panel in panels:
    display(panel)
print("all of them:", len(panels))"""
# what of a panel reaches over its edge
OUTSIDE = """panel => {
    const edge = panel.getBoundingClientRect();
    return [...panel.querySelectorAll('input, select, button, label, h3')]
        .filter(each => each.offsetParent !== null)
        .map(each => [each.getBoundingClientRect(), each])
        .filter(([box]) => box.right > edge.right + 1 || box.left < edge.left - 1)
        .map(([box, each]) => each.outerHTML.slice(0, 120));
}"""
REACHABLE = "panel => [...panel.querySelectorAll('input, select, button')].filter(e => !e.disabled).length"
FOCUSED = "panel => [...panel.querySelectorAll('input, select, button')].indexOf(document.activeElement)"


@pytest.fixture(scope="module")
def opened(tab: tuple[Page, list[str]], server: Server) -> Page:
    page = tab[0]
    open_notebook(page, server, server.write("panels.ipynb", CELL))
    run_all_cells(page)
    expect(page.get_by_text(re.compile(r"all of them: \d"))).to_be_attached(timeout=CELL_MS)
    return page


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_nothing_of_a_panel_is_cut_off(opened: Page, theme: str) -> None:
    change_theme(opened, theme)
    wrong = []
    for width in (1400, 1000, 700):
        opened.set_viewport_size({"width": width, "height": 1000})
        for number, panel in enumerate(opened.locator(".labkit-panel").all()):
            title = panel.locator("h3").inner_text()
            wrong += [(title, width, each) for each in panel.evaluate(OUTSIDE)]
            if os.environ.get("LABKIT_PANEL_PICTURES"):
                panel.scroll_into_view_if_needed()
                picture(panel, f"every-{number:02}-{width}-{theme.lower()}")
        assert opened.locator(".labkit-panel").first.evaluate("p => p.getBoundingClientRect().right") <= width
    wrong += [(theme, 700, rule) for rule in hindrances(opened)]
    opened.set_viewport_size({"width": 1400, "height": 1000})
    change_theme(opened, "Light")
    assert wrong == []


def test_the_tab_key_reaches_every_control(opened: Page) -> None:
    missed = {}
    for panel in opened.locator(".labkit-panel").all():
        panel.locator("input, select, button").first.focus()
        reached = {panel.evaluate(FOCUSED)}
        for _ in range(panel.evaluate(REACHABLE)):
            opened.keyboard.press("Tab")
            reached.add(panel.evaluate(FOCUSED))
        if len(reached - {-1}) != panel.evaluate(REACHABLE):
            missed[panel.locator("h3").inner_text()] = panel.evaluate(REACHABLE) - len(reached - {-1})
    assert missed == {}
