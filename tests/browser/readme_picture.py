# SPDX-License-Identifier: Apache-2.0
"""Make the pictures in README.md, from real runs here: PYTHONPATH=tests python -m browser.readme_picture [NAME]

NAME is panel (the default), verdict, or plots.

For maintainers, on a machine with nothing else to do.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from pathlib import Path

from browser.lab import CELL_MS, open_notebook, run_all_cells, serve, tick
from playwright.sync_api import expect, sync_playwright

from labkit.lessons import io_engines, sockmap
from labkit.lessons.sockmap.live import live
from labkit.machine.folders import repo_folder
from labkit.notebook.plotting import style

IMAGES = repo_folder() / "docs" / "images"
PICTURE, VERDICT = IMAGES / "panel.png", IMAGES / "verdict.png"
WINDOWS = 8  # before the switch is turned
CELLS = ("from labkit.lessons import io_engines", "io_engines.panel()")
MARGIN_PX = 10


def main() -> None:
    """Run lesson 07's panel in JupyterLab over two block sizes, and keep a picture of it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 2000})
        open_notebook(page, server, server.write("picture.ipynb", *CELLS))
        run_all_cells(page)
        panel = page.locator(".labkit-panel")
        tick(panel, "block sizes", ["4 KiB", "64 KiB"])
        panel.get_by_role("button", name="Run").click()
        expect(panel.get_by_text("Done.")).to_be_visible(timeout=CELL_MS)
        box, finding = panel.bounding_box(), panel.locator(".labkit-note").first.bounding_box()
        assert box is not None and finding is not None
        height = finding["y"] + finding["height"] + MARGIN_PX - box["y"]  # the table below it is long
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURE, clip={**box, "height": height})
        browser.close()


def verdict() -> None:
    """Let lesson 03's workshop judge a program, and keep a picture of what it says."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 1700})
        cells = ("import labkit\nfrom labkit.lessons import verifier", "verifier.workshop()")
        open_notebook(page, server, server.write("picture.ipynb", *cells))
        run_all_cells(page)
        panel = page.locator(".labkit-panel")
        panel.get_by_label("bounds").check()
        panel.get_by_role("button", name="Ask the verifier").click()
        told = panel.locator(".labkit-warning")
        expect(told).to_be_visible(timeout=CELL_MS)
        told.screenshot(path=VERDICT)
        browser.close()


def plots() -> None:
    """Keep two plots: lesson 07's lanes, and round trips of lesson 09 while its switch is turned."""
    turns = itertools.cycle([False] * WINDOWS + [True] * WINDOWS)
    for name, frame, plot in (
        ("lanes", io_engines.lanes(queue_depth=8), io_engines.plot),
        ("switch", live(lambda: next(turns), seconds=14.0), sockmap.plot),
    ):
        (IMAGES / f"{name}.png").write_bytes(style.png(plot(frame, style.figure().add_subplot()).get_figure()))


if __name__ == "__main__":
    {"verdict": verdict, "plots": plots}.get(" ".join(sys.argv[1:]), main)()
