# SPDX-License-Identifier: Apache-2.0
"""What is in a lesson next to its panels, seen in the browser."""

from __future__ import annotations

import re

import pytest
from browser.lab import CELL_MS, Server, change_theme, hindrances, open_notebook, picture, run_all_cells
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

CELLS = (
    'import labkit\nlabkit.ready("01")',
    'guess = labkit.predict("How many starts does eBPF see?", ["0", "23", "46"])\nguess',
    'labkit.source("c/bpf/hello.c", "sched_process_exec")',
    "from labkit import schema\nfrom labkit.lessons import hello\n"
    'frame = schema.frame({"phase": ["before", "attached", "after"], "runs": [23, 23, 23], "count": [0, 23, 0]},'
    ' kernel="1.2.3", recorded=True)\nhello.plot(frame);',
    "labkit.table(frame)",
    'labkit.finding("The program saw 23 starts, all of them while it was attached.", frame)',
    'labkit.check("01-q11", 23)',
    'from labkit.errors import Missing\nraise Missing("No ring buffer here.", "use a kernel that has one")',
)


@pytest.fixture(scope="module")
def opened(tab: tuple[Page, list[str]], server: Server) -> Page:
    open_notebook(tab[0], server, server.write("show.ipynb", *CELLS))
    run_all_cells(tab[0])
    return tab[0]


@pytest.fixture
def lesson(opened: Page, page: Page) -> Page:
    """Return the page, on which all cells ran, the last of them into an error."""
    expect(page.get_by_text("Fix: use a kernel that has one")).to_be_visible(timeout=CELL_MS)
    return page


def test_a_prediction_closes_when_it_is_made(lesson: Page) -> None:
    lesson.get_by_role("radio", name="46").check()
    lesson.get_by_role("button", name="Commit").click()
    expect(lesson.get_by_text("You said 46. Now measure.")).to_be_visible(timeout=CELL_MS)
    expect(lesson.get_by_role("radio", name="23")).to_be_disabled()


def test_the_source_is_the_real_file_in_colour(lesson: Page) -> None:
    shown = lesson.locator(".labkit-source")
    expect(shown).to_contain_text("TRACEPOINT_PROBE(sched, sched_process_exec)")
    assert len(set(shown.locator("pre span").evaluate_all("s => s.map(x => getComputedStyle(x).color)"))) > 2


def test_a_plot_in_a_plain_cell_is_as_sharp_as_in_a_panel(lesson: Page) -> None:
    image = lesson.locator(".jp-OutputArea-output img").first
    assert image.evaluate("i => i.naturalWidth / i.clientWidth") >= 2


def test_an_error_of_the_lab_is_two_lines(lesson: Page) -> None:
    assert "Traceback" not in lesson.locator(".jp-Notebook").inner_text()


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_all_of_it_can_be_read_in_both_themes(lesson: Page, theme: str) -> None:
    change_theme(lesson, theme)
    lesson.set_viewport_size({"width": 1400, "height": 2400})
    picture(lesson, f"show-{theme.lower()}")
    assert hindrances(lesson) == []  # contrast, names of controls, words for pictures
    lesson.set_viewport_size({"width": 1400, "height": 1000})


def test_a_picture_has_words_for_who_cannot_see_it(lesson: Page) -> None:
    image = lesson.locator(".jp-OutputArea-output").get_by_role("img").first
    expect(image).to_have_accessible_name(re.compile("A probe acts only while it is attached.*Up: count"))
