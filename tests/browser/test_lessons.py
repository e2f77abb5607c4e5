# SPDX-License-Identifier: Apache-2.0
"""Every lesson as a learner meets it: its cells have run; change one setting of its panel, press Run, look.

Where this test run has executed the lesson already (tests/lessons), its outputs are shown as they were saved, and only
the cells with widgets run again: they need a kernel. Else all cells run here.
"""

from __future__ import annotations

import ast
import copy
import re
import shutil
from dataclasses import dataclass
from typing import Any

import pytest
from browser.lab import (
    CELL_MS,
    Server,
    errors_shown,
    hindrances,
    open_notebook,
    picture,
    run_all_cells,
    run_cells,
    tick,
)
from playwright.sync_api import Locator, Page, expect
from runner.learner import EXECUTED

from labkit.machine.folders import repo_folder

pytestmark = [pytest.mark.browser, pytest.mark.bpf]

NOTEBOOKS = repo_folder() / "notebooks"
LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb") if ".panel(" in path.read_text())


@dataclass(frozen=True)
class Change:
    """A setting to change in the panel of this title, and what the panel says once it has measured with it.

    `brief` is another setting, which makes the measurement short: what it measures is not looked at here.
    """

    panel: str
    setting: str
    value: str | list[str]
    says: str
    brief: tuple[str, str] | None = None


BRIEF_SLICES = ("seconds per slice", "0.02")
CHANGES = {
    "00-start": Change("Time each read", "block size", "1 MiB", r"Half of the 97 reads of 1 MiB took .+ or less"),
    "01-hello": Change("Hello, eBPF", "runs", "29", "started a program 29 times; eBPF saw 29 starts"),
    "02-maps": Change("Lost updates", "calls per thread", "10007", r"20014|lost", ("slices", "2")),
    "03-verifier": Change("Loops", "rounds of the loop", ["10", "100"], r"round"),
    "04-probes": Change("What a probe costs", "mechanism", ["uprobe"], r"uprobe"),
    "05-usdt": Change("Listen to probes", "requests", "53", r"53"),
    "06-syscall-latency": Change(
        "Time a system call", "block sizes", ["16 KiB"], r"Median of 16 KiB: O_DIRECT", ("seconds each", "0.02")
    ),
    "07-io-engines": Change("Three ways to read", "block sizes", ["16 KiB"], r"16 KiB", BRIEF_SLICES),
    "08-uring": Change("Inside io_uring", "batches", ["1", "16"], r"16", BRIEF_SLICES),
    "09-sockmap": Change("Round trips by three ways", "message size", ["256 B"], r"256 B", ("slices", "3")),
    "10-capstone": Change("SQLite, call by call", "transactions", "29", r"delete/full: 4 syncs per transaction"),
    "12-your-program": Change("Watch a program", "look at", "files", r"The longest time, .+: "),
    "11-serve": Change("Ways to serve", "connections", ["4"], r"4 connections, 64 B: the requests per second"),
}


def panel_titled(page: Page, title: str) -> Locator:
    return page.locator(".labkit-panel", has=page.get_by_role("heading", name=title, exact=True))


def change(panel: Locator, setting: str, value: str | list[str]) -> None:
    if isinstance(value, list):
        tick(panel, setting, value)
        return
    control = panel.get_by_label(setting)
    if control.evaluate("c => c.tagName") == "SELECT":
        control.select_option(value)
    else:
        control.fill(str(value))
        control.press("Tab")


def names(source: str) -> tuple[set[str], set[str]]:
    """Return the names that a cell uses, and those that it makes."""
    if program := re.match(r"%%bpf (\w+)", source):
        return {"labkit"}, {program[1]}
    tree = ast.parse(re.sub(r"^\s*[%!].*$", "pass", source, flags=re.MULTILINE))
    variables = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    made = {variable.id for variable in variables if isinstance(variable.ctx, ast.Store)}
    made |= {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}
    return {variable.id for variable in variables if isinstance(variable.ctx, ast.Load)}, made


def cells_to_run(cells: list[Any]) -> list[int]:
    """Return the numbers of the cells whose output is a widget, and of those that make the names which they use."""
    known = {number: names(cell.source) for number, cell in enumerate(cells) if cell.cell_type == "code"}
    wanted = [
        number
        for number in known
        if any("application/vnd.jupyter.widget-view+json" in each.get("data", {}) for each in cells[number].outputs)
    ]
    found: set[int] = set()
    while wanted:
        number = wanted.pop()
        if number not in found:
            found.add(number)
            makers = ([n for n in known if n < number and name in known[n][1]] for name in known[number][0])
            wanted += [before[-1] for before in makers if before]
    return sorted(found)


def open_lesson(page: Page, server: Server, name: str) -> None:
    """Open a lesson of which all cells have run."""
    if name not in EXECUTED:
        shutil.copy(NOTEBOOKS / f"{name}.ipynb", server.folder)
        open_notebook(page, server, f"{name}.ipynb")
        run_all_cells(page)
        return
    notebook = copy.deepcopy(EXECUTED[name])
    numbers = cells_to_run(notebook.cells)
    for number in numbers:
        notebook.cells[number].outputs = []  # its widgets ended with their kernel
    open_notebook(page, server, server.write_executed(f"{name}.ipynb", notebook))
    run_cells(page, numbers)


@pytest.mark.parametrize("name", LESSONS)
def test_a_changed_setting_gives_another_plot(page: Page, server: Server, name: str) -> None:
    open_lesson(page, server, name)
    assert errors_shown(page) == []
    wanted = CHANGES[name]
    panel = panel_titled(page, wanted.panel)
    change(panel, wanted.setting, wanted.value)
    if wanted.brief:
        change(panel, *wanted.brief)
    panel.get_by_role("button", name="Run").click()
    expect(panel.get_by_text("Done.")).to_be_visible(timeout=CELL_MS)
    expect(panel.locator(".labkit-note").first).to_contain_text(re.compile(wanted.says))
    expect(panel.get_by_role("img")).to_be_visible()
    expect(panel.get_by_role("table")).to_be_visible()
    panel.scroll_into_view_if_needed()
    picture(panel, f"lesson-{name}")
    assert hindrances(page) == []
    server.end_kernels()


LONG = {
    "hello": {"runs": "10000"},
    "serve": {"slices": "100"},
}


@pytest.mark.parametrize("lesson", LONG)
def test_stop_in_the_midst_of_a_measurement_leaves_nothing_running(page: Page, server: Server, lesson: str) -> None:
    """The programs and processes that it would leave are looked for after every test of the kernel."""
    cell = f"from labkit.lessons import {lesson}\n{lesson}.panel()"
    open_notebook(page, server, server.write(f"stop-{lesson}.ipynb", cell))
    run_all_cells(page)
    panel = page.locator(".labkit-panel")
    for setting, value in LONG[lesson].items():
        change(panel, setting, value)
    panel.get_by_role("button", name="Run").click()
    expect(panel.get_by_text(re.compile(r"\d%.*left"))).to_be_visible(timeout=CELL_MS)
    panel.get_by_role("button", name="Stop").click()
    expect(panel.get_by_text("Stopped. Nothing was kept")).to_be_visible(timeout=CELL_MS)
    picture(page, f"{lesson}-stopped")
    server.end_kernels()


def test_lesson_00_shows_how_far_the_learner_is(page: Page, server: Server) -> None:
    cells = ("import labkit", 'labkit.check("01-q4", "no")', "labkit.progress()")
    open_notebook(page, server, server.write("progress.ipynb", *cells))
    run_all_cells(page)
    expect(page.get_by_text(re.compile("You have solved 1 of .* Go on with 01-q"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(r"01 · Say hello.*1 of \d"))).to_be_visible()
    assert hindrances(page) == []
    picture(page, "progress")
