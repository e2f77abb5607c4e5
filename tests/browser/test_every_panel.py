# SPDX-License-Identifier: Apache-2.0
"""Every panel of every lesson, at three widths, in two themes: nothing is cut off or overlaps, Tab reaches all.

Only `make test-panels` runs these tests. A picture of each panel is kept in build/browser/.
"""

from __future__ import annotations

import os
import re

import pytest
from browser.lab import CELL_MS, Server, change_theme, hindrances, open_notebook, picture, run_all_cells
from playwright.sync_api import Locator, Page, expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        os.environ.get("LABKIT_TEST_PANELS") != "1", reason="`make test-panels` runs it (LABKIT_TEST_PANELS=1)"
    ),
]

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
WIDTHS = (1400, 1000, 700)
# what of a panel reaches over its edge, hides a part of its words, or lies on something else
FAULTS = """panel => {
    const seen = [...panel.querySelectorAll('input, select, textarea, button, label, h3, .widget-readout')]
        .filter(each => each.offsetParent !== null && each.getBoundingClientRect().width > 1);
    const name = each => each.outerHTML.replace(/\\s+/g, ' ').slice(0, 90);
    const box = each => each.getBoundingClientRect();
    const hides = each => {
        for (let around = each.parentElement; around !== panel.parentElement; around = around.parentElement) {
            const style = getComputedStyle(around), [inner, outer] = [box(each), box(around)];
            if (around !== panel && style.overflowX === 'visible') continue;
            const right = outer.right - (around === panel ? parseFloat(style.paddingRight) : 0);
            if (inner.right > right + 1 || inner.left < outer.left - 1) return true;
        }
        return false;
    };
    const faults = seen.filter(hides).map(each => 'over the edge: ' + name(each));
    faults.push(...seen.filter(each => each.matches('label, button, h3') && each.scrollWidth > each.clientWidth + 1)
        .map(each => 'cut off: ' + name(each)));
    seen.forEach((one, place) => seen.slice(place + 1).forEach(other => {
        if (one.contains(other) || other.contains(one)) return;
        const [a, b] = [box(one), box(other)];
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 2 && high > 2) faults.push('overlap: ' + name(one) + ' and ' + name(other));
    }));
    return faults;
}"""
OPEN = "panel => [...panel.querySelectorAll('input, select, textarea, button')].filter(each => !each.disabled).length"
FOCUSED = "panel => [...panel.querySelectorAll('input, select, textarea, button')].indexOf(document.activeElement)"


@pytest.fixture(scope="module")
def opened(tab: tuple[Page, list[str]], server: Server) -> Page:
    page = tab[0]
    open_notebook(page, server, server.write("panels.ipynb", CELL))
    run_all_cells(page)
    expect(page.get_by_text(re.compile(r"all of them: \d"))).to_be_attached(timeout=CELL_MS)
    return page


def panels(page: Page) -> list[tuple[str, Locator]]:
    return [(panel.locator("h3").first.inner_text(), panel) for panel in page.locator(".labkit-panel").all()]


def test_every_panel_is_there(opened: Page) -> None:
    said = re.search(r"all of them: (\d+)", opened.locator(".jp-OutputArea").first.inner_text())
    assert said and len(panels(opened)) == int(said[1]) > 12


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_of_a_panel_is_cut_off_or_overlaps(opened: Page, theme: str, width: int) -> None:
    change_theme(opened, theme)
    opened.set_viewport_size({"width": width, "height": 1000})
    wrong = []
    for number, (title, panel) in enumerate(panels(opened)):
        panel.scroll_into_view_if_needed()
        wrong += [(title, fault) for fault in panel.evaluate(FAULTS)]
        if panel.evaluate("panel => panel.getBoundingClientRect().right") > width:
            wrong.append((title, "wider than the window"))
        picture(panel, f"every-{number:02}-{width}-{theme.lower()}")
    wrong += [(theme, rule) for rule in hindrances(opened)]
    assert wrong == []


def test_the_arrow_of_a_list_is_seen_in_both_themes(opened: Page) -> None:
    arrows = set()
    for theme in ("Light", "Dark"):
        change_theme(opened, theme)
        arrows.add(
            opened.locator(".labkit-panel select").first.evaluate("list => getComputedStyle(list).backgroundImage")
        )
    assert len(arrows) == 2  # that of ipywidgets is black


def test_the_tab_key_reaches_every_control(opened: Page) -> None:
    missed = {}
    for title, panel in panels(opened):
        panel.locator("input, select, textarea, button").first.focus()
        reached = {panel.evaluate(FOCUSED)}
        for _ in range(panel.evaluate(OPEN)):
            opened.keyboard.press("Tab")
            reached.add(panel.evaluate(FOCUSED))
        if (left := panel.evaluate(OPEN) - len(reached - {-1})) > 0:
            missed[title] = left
    assert missed == {}
