# SPDX-License-Identifier: Apache-2.0
"""A panel as a learner uses it: Run, progress, Stop, a mistake, another cell, a reload."""

from __future__ import annotations

import re

import pytest
from browser.lab import CELL_MS, Server, change_theme, hindrances, open_notebook, picture, run_all_cells, tick
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

# A real measurement that needs no privilege: how long it takes to hash a block.
MEASURE = """\
import hashlib, time
from labkit import schema
from labkit.errors import check_int
from labkit.machine.provenance import provenance
from labkit.notebook.panel import Panel, controls
from labkit.notebook.plotting import style

def measure(arms, block_bytes, repeats, *, progress):
    check_int("repeats", repeats, 1, 1_000_000, "times")
    rows = []
    for number in range(repeats):
        progress(number / repeats, f"round {number}")
        for arm in arms:
            for size in block_bytes:
                block = bytes(size)
                start = time.perf_counter_ns()
                hashlib.new(arm, block)
                rows.append({"arm": arm, "block_bytes": size, "latency_ns": time.perf_counter_ns() - start})
    return schema.frame(rows, **provenance())

def medians(frame):
    return frame.groupby(["arm", "block_bytes"], as_index=False)["latency_ns"].median().astype({"latency_ns": "int64"})

def draw(frame, ax=None):
    ax = style.axes(ax)
    for arm, how in style.series(frame["arm"]).items():
        rows = medians(frame).query("arm == @arm")
        ax.plot(rows["block_bytes"], rows["latency_ns"], label=arm, **how)
    style.axis(ax, "x", "block_bytes", log=2, ticks=frame["block_bytes"])
    style.axis(ax, "y", "latency_ns", log=10)
    return style.finish(ax, frame, title="Larger blocks take longer to hash")
"""
PANEL = """\
panel = Panel(
    "Hash a block",
    {
        "arms": controls.several("arm", ["sha256", "sha1", "blake2b"], ["sha256", "sha1"], label="algorithms"),
        "block_bytes": controls.several("block_bytes", [512, 4096, 65536, 2**20], [512, 4096, 65536]),
        "repeats": controls.whole("count", 20, -1, 2_000_000, label="repeats"),
    },
    measure, draw, lambda frame: f"{len(frame)} blocks were hashed.", table=medians, accumulate=True,
)
panel"""


@pytest.fixture(scope="module")
def opened(tab: tuple[Page, list[str]], server: Server) -> None:
    open_notebook(tab[0], server, server.write("panel.ipynb", MEASURE, PANEL, "len(panel.frame)"))


@pytest.fixture
def panel(opened: None, page: Page) -> Locator:
    """Run the notebook and return its panel, which is a new one for each test."""
    run_all_cells(page)
    found = page.locator(".labkit-panel")
    expect(found).to_be_visible(timeout=CELL_MS)
    return found


def press(panel: Locator, name: str) -> None:
    panel.get_by_role("button", name=name).click()


def test_run_shows_plot_sentence_table_and_origin(panel: Locator, page: Page) -> None:
    press(panel, "Run")
    expect(panel.get_by_text("120 blocks were hashed.")).to_be_visible(timeout=CELL_MS)
    expect(panel.get_by_role("img", name=re.compile("Hash a block. 120 blocks"))).to_be_visible()
    expect(panel.get_by_role("columnheader", name="block size")).to_be_visible()
    expect(panel.get_by_text("Measured on Linux")).to_be_visible()
    picture(panel, "panel-after-run")


def test_a_picture_has_two_pixels_for_each_of_the_page(panel: Locator) -> None:
    press(panel, "Run")
    image = panel.get_by_role("img", name=re.compile("Hash a block"))
    expect(image).to_be_visible(timeout=CELL_MS)
    assert image.evaluate("i => i.naturalWidth / i.clientWidth") >= 2


def test_nothing_runs_while_the_settings_change(panel: Locator) -> None:
    tick(panel, "block size", ["512 B"])
    expect(panel.get_by_text("blocks were hashed")).to_have_count(0)
    press(panel, "Run")
    expect(panel.get_by_text("40 blocks were hashed.")).to_be_visible(timeout=CELL_MS)


def test_one_choice_takes_the_place_of_another(panel: Locator) -> None:
    for choice in ("1 MiB", "4 KiB", "512 B", "64 KiB"):
        tick(panel, "block size", [choice])
        press(panel, "Run")
        expect(panel.get_by_text("Done.")).to_be_visible(timeout=CELL_MS)
        for box in panel.locator(".labkit-several").nth(1).get_by_role("checkbox").all():
            assert box.is_checked() == (box.get_attribute("title") == choice)


def run_for_long(panel: Locator) -> None:
    panel.get_by_label("repeats").fill("1000000")
    panel.get_by_label("repeats").press("Tab")
    press(panel, "Run")
    expect(panel.get_by_text(re.compile(r"round \d{3}"))).to_be_visible(timeout=CELL_MS)


def test_stop_in_mid_run(panel: Locator, page: Page) -> None:
    run_for_long(panel)
    expect(panel.get_by_text(re.compile("left$"))).to_be_visible(timeout=CELL_MS)
    expect(panel.get_by_role("button", name="Run")).to_be_disabled()
    picture(page, "panel-in-mid-run")
    press(panel, "Stop")
    expect(panel.get_by_text("Stopped. Nothing was kept")).to_be_visible(timeout=CELL_MS)
    expect(panel.get_by_role("button", name="Run")).to_be_enabled()
    picture(page, "panel-after-stop")


def test_a_mistake_is_told_inside_the_panel_with_its_fix(panel: Locator, page: Page) -> None:
    panel.get_by_label("repeats").fill("-1")
    panel.get_by_label("repeats").press("Tab")
    press(panel, "Run")
    alert = panel.get_by_role("alert")
    expect(alert).to_contain_text("repeats=-1 is not allowed.", timeout=CELL_MS)
    expect(alert).to_contain_text("Fix: pass repeats as a whole number from 1 to 1000000 times")
    assert "Traceback" not in panel.inner_text()
    assert hindrances(page) == []
    picture(page, "panel-after-mistake")


def test_run_and_stop_work_with_the_keyboard_alone(panel: Locator, page: Page) -> None:
    panel.get_by_label("repeats").fill("1000000")
    panel.get_by_label("repeats").press("Tab")
    page.keyboard.press("Enter")
    expect(panel.get_by_text(re.compile(r"round \d{3}"))).to_be_visible(timeout=CELL_MS)
    panel.get_by_role("button", name="Stop").press("Enter")
    expect(panel.get_by_text("Stopped. Nothing was kept")).to_be_visible(timeout=CELL_MS)


def test_choices_are_ticked_with_the_keyboard_alone(panel: Locator, page: Page) -> None:
    box = panel.get_by_role("checkbox", name="512 B")
    box.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # 4 KiB
    expect(box).not_to_be_checked()
    expect(panel.get_by_role("checkbox", name="4 KiB", exact=True)).not_to_be_checked()
    panel.get_by_role("button", name="Run").press("Enter")
    expect(panel.get_by_text("40 blocks were hashed.")).to_be_visible(timeout=CELL_MS)


def test_the_last_plot_is_pale_while_the_next_run_goes_on(panel: Locator) -> None:
    press(panel, "Run")
    expect(panel.get_by_text("120 blocks were hashed.")).to_be_visible(timeout=CELL_MS)
    run_for_long(panel)
    pale = "e => getComputedStyle(e.closest('.labkit-stale') ?? e).opacity"
    assert panel.get_by_role("img").evaluate(pale) == "0.4"
    press(panel, "Stop")
    expect(panel.get_by_text("Stopped. Nothing was kept")).to_be_visible(timeout=CELL_MS)
    expect(panel.locator(".labkit-stale")).to_have_count(0)
    assert panel.get_by_role("img").evaluate(pale) == "1"


def test_running_the_cell_again_ends_the_old_run(panel: Locator, page: Page) -> None:
    run_for_long(panel)
    run_all_cells(page)
    expect(panel.get_by_text("round")).to_have_count(0, timeout=CELL_MS)
    press(panel, "Run")
    expect(panel.get_by_text("120 blocks were hashed.")).to_be_visible(timeout=CELL_MS)


def test_the_interrupt_button_stops_the_run(panel: Locator, page: Page) -> None:
    run_for_long(panel)
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:interrupt-kernel') }")
    expect(panel.get_by_text("Stopped. Nothing was kept")).to_be_visible(timeout=CELL_MS)


def test_a_reload_in_mid_run_keeps_the_panel(panel: Locator, page: Page) -> None:
    run_for_long(panel)
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    again = page.locator(".labkit-panel")
    expect(again.get_by_text(re.compile(r"round \d{3}"))).to_be_visible(timeout=CELL_MS)
    press(again, "Stop")
    expect(again.get_by_text("Stopped. Nothing was kept")).to_be_visible(timeout=CELL_MS)


def test_runs_accumulate_clear_and_reach_the_next_cell(panel: Locator, page: Page) -> None:
    press(panel, "Run")
    expect(panel.get_by_text("120 blocks were hashed.")).to_be_visible(timeout=CELL_MS)
    press(panel, "Run")
    expect(panel.get_by_text("240 blocks were hashed.")).to_be_visible(timeout=CELL_MS)
    press(panel, "Clear")
    expect(panel.get_by_text("blocks were hashed")).to_have_count(0)


def test_a_panel_is_readable_in_the_dark_theme(panel: Locator, page: Page) -> None:
    change_theme(page, "Dark")
    press(panel, "Run")
    expect(panel.get_by_text("120 blocks were hashed.")).to_be_visible(timeout=CELL_MS)
    press(panel, "Save CSV")
    expect(panel.get_by_text("Saved 120 rows")).to_be_visible(timeout=CELL_MS)
    turned = panel.get_by_role("img").evaluate("i => getComputedStyle(i).filter")
    assert "invert" in turned  # the plot is dark, too
    picture(panel, "panel-dark")
    assert hindrances(page) == []
    change_theme(page, "Light")


def test_a_part_of_the_plot_is_enlarged_and_values_are_read_off(panel: Locator, page: Page) -> None:
    press(panel, "Run")
    expect(panel.get_by_text("120 blocks were hashed.")).to_be_visible(timeout=CELL_MS)
    still = panel.get_by_role("img", name=re.compile("Hash a block"))
    press(panel, "Zoom")
    canvas = panel.locator(".labkit-zoom canvas").last
    expect(canvas).to_be_visible(timeout=CELL_MS)
    expect(still).to_be_hidden()  # on the screen; print and export have it
    page.emulate_media(media="print")
    expect(still).to_be_visible()
    expect(canvas).to_be_hidden()
    page.emulate_media(media="screen")
    canvas.scroll_into_view_if_needed()
    place = canvas.bounding_box()
    assert place is not None
    x, y, width, height = (place[name] for name in ("x", "y", "width", "height"))
    page.mouse.move(x + 0.5 * width, y + 0.5 * height)
    read = panel.locator(".labkit-zoom").get_by_text(re.compile(r"KiB.*[nµm]?s"))
    expect(read).to_be_visible(timeout=CELL_MS)
    before = canvas.screenshot()
    page.mouse.down()
    page.mouse.move(x + 0.7 * width, y + 0.7 * height, steps=4)
    page.mouse.up()
    page.wait_for_function("() => !document.querySelector('.jp-mod-busy')")
    expect(panel.get_by_text("Drag over a part")).to_be_visible()
    picture(panel, "panel-zoomed")
    assert canvas.screenshot() != before
    assert hindrances(page) == []
    press(panel, "Picture")
    expect(canvas).to_have_count(0)
    expect(still).to_be_visible()


@pytest.mark.parametrize("width", [700, 1000])
def test_in_a_narrow_window_nothing_is_cut_off_at_the_right(page: Page, server: Server, width: int) -> None:
    cell = """\
from labkit import schema
from labkit.notebook.panel import Panel

def measure(*, progress):
    names = [name for name in schema.COLUMNS if name.endswith("_ns")][:20]
    return schema.frame([dict.fromkeys(names, 1)], warnings=["the disk was shared with other people, " * 7])

Panel("Wide", {}, measure, finding=lambda frame: "Larger blocks move more bytes per second. " * 7)"""
    open_notebook(page, server, server.write("wide.ipynb", cell))
    run_all_cells(page)
    panel = page.locator(".labkit-panel")
    press(panel, "Run")
    expect(panel.locator(".labkit-warning")).to_be_visible(timeout=CELL_MS)
    page.set_viewport_size({"width": width, "height": 1000})
    table = panel.locator(".labkit-table")
    assert table.evaluate("t => t.parentElement.scrollWidth > t.parentElement.clientWidth")  # its own box scrolls
    edge = panel.evaluate("p => p.getBoundingClientRect().right")
    assert edge <= width
    for part in (panel.locator(".labkit-note"), panel.locator(".labkit-warning"), table.locator("..")):
        assert part.evaluate("e => e.getBoundingClientRect().right") <= edge
    picture(page, f"panel-{width}-wide")
    page.set_viewport_size({"width": 1400, "height": 1000})


def test_after_a_restart_a_panel_says_that_its_kernel_has_ended(panel: Locator, page: Page) -> None:
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    said = "getComputedStyle(document.querySelector('.labkit-panel'), '::before').content"
    page.wait_for_function(f"() => {said}.includes('kernel of this panel has ended')")
    picture(panel, "panel-after-restart")


def test_restarting_the_kernel_in_mid_run_lets_the_measurement_clean_up(page: Page, server: Server) -> None:
    cell = """\
import time
from pathlib import Path
from labkit.notebook.panel import Panel

def measure(*, progress):
    try:
        while True:
            progress(0.5, "measuring")
            time.sleep(0.01)
    finally:
        Path("cleaned").touch()

Panel("Endless", {}, measure)"""
    open_notebook(page, server, server.write("restart.ipynb", cell))
    run_all_cells(page)
    panel = page.locator(".labkit-panel")
    panel.get_by_role("button", name="Run").click(timeout=CELL_MS)
    expect(panel.get_by_text("measuring")).to_be_visible(timeout=CELL_MS)
    [session] = [one for one in server.ask("/api/sessions") if one["name"] == "restart.ipynb"]
    server.ask(f"/api/kernels/{session['kernel']['id']}/restart", "POST")  # answers when the old process is gone
    assert (server.folder / "cleaned").exists()
