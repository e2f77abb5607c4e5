# SPDX-License-Identifier: Apache-2.0
"""JupyterLab in a real browser: a server of the test's own, and the few things a learner does there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import nbformat.sign
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from labkit.machine.folders import build_folder, repo_folder

START_S = 60.0
CELL_MS = 120_000
# What a scan looks at: the outputs, without what is not ours: pandas' tables have an empty head in the corner, and
# the handle of ipywidgets' slider and the buttons of its player have no name.
SHOWN = {"include": [[".jp-Cell-outputArea"]], "exclude": [[".dataframe"], [".noUi-handle"], [".widget-play"]]}
LESSON_MS = 600_000  # it may have to wait for another measurement


class Server:
    """A running JupyterLab whose notebooks are in `folder`."""

    def __init__(self, url: str, token: str, folder: Path) -> None:
        self.url, self.token, self.folder = url, token, folder

    def write(self, name: str, *cells: str) -> str:
        """Make a notebook of code cells; return its name."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
        }
        nbformat.write(notebook, self.folder / name)
        return name

    def write_executed(self, name: str, notebook: Any) -> str:
        """Write a notebook with its outputs, which JupyterLab shows as those of the learner's own; return its name."""
        nbformat.sign.NotebookNotary(data_dir=str(self.folder.parent / "data")).sign(notebook)
        nbformat.write(notebook, self.folder / name)
        return name

    def ask(self, path: str, method: str = "GET") -> Any:
        """Call the server's REST interface."""
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=20) as reply:
            body = reply.read()
        return json.loads(body) if body else None

    def end_kernels(self) -> None:
        """End every kernel, so that the next test has the machine to itself."""
        for session in self.ask("/api/sessions"):
            self.ask(f"/api/sessions/{session['id']}", "DELETE")


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Run JupyterLab on 127.0.0.1 over `folder`, with a token and nothing of the user's own settings."""
    port = free_port()
    token = secrets.token_hex(16)
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    own = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    settings = folder / "settings"
    settings.mkdir()
    (settings / "overrides.json").write_text((repo_folder() / "scripts" / "jupyterlab-settings.json").read_text())
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={notebooks}", "--ServerApp.port_retries=0"]
    command += ["--LabApp.expose_app_in_browser=True", f"--LabApp.app_settings_dir={settings}"]
    command += [f"--LabApp.workspaces_dir={folder / 'workspaces'}", f"--LabApp.user_settings_dir={folder / 'user'}"]
    environment = {**os.environ, **own, "PYTHONPATH": str(repo_folder()), "IPYTHONDIR": str(folder / "ipython")}
    environment |= {"LABKIT_QUICK": "1", "LABKIT_PROGRESS": str(folder / "progress.json")}
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=notebooks)
    server = Server(f"http://127.0.0.1:{port}", token, notebooks)
    try:
        _wait_until_it_answers(server, process, folder / "server.log")
        yield server
    finally:
        process.terminate()  # the server ends its kernels
        process.wait(30)


def _wait_until_it_answers(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError):
            server.ask("/api/status")
            return
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def open_notebook(page: Page, server: Server, name: str) -> None:
    """Open a notebook and wait until its kernel is idle."""
    page.goto(f"{server.url}/lab/tree/{name}?token={server.token}&reset")
    wait_until_idle(page)


def wait_until_idle(page: Page) -> None:
    """Wait until the kernel has nothing to do, as the status bar says."""
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=CELL_MS)


def run_all_cells(page: Page) -> None:
    """Run every cell, and wait for the last one's end."""
    page.evaluate(
        """() => {
            window.labkitRan = null;
            window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.labkitRan = true });
        }"""
    )
    page.wait_for_function("window.labkitRan", timeout=LESSON_MS)


def run_cells(page: Page, numbers: list[int]) -> None:
    """Run the cells with these numbers, from 0, one after the other."""
    page.evaluate(
        """async numbers => {
            for (const number of numbers) {
                window.jupyterapp.shell.currentWidget.content.activeCellIndex = number;
                await window.jupyterapp.commands.execute('notebook:run-cell');
            }
        }""",
        numbers,
    )


def errors_shown(page: Page) -> list[str]:
    """Return what failed in the cells: a run of all ends at the first."""
    return page.locator('[data-mime-type="application/vnd.jupyter.error"]').all_inner_texts()


def change_theme(page: Page, theme: str) -> None:
    """Put on the theme "Light" or "Dark"."""
    page.evaluate(f"() => window.jupyterapp.commands.execute('apputils:change-theme', {{theme: 'JupyterLab {theme}'}})")
    expect(page.locator(f'body[data-jp-theme-light="{str(theme == "Light").lower()}"]')).to_have_count(1)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)


def hindrances(page: Page) -> list[str]:
    """Scan the cells' outputs with axe and return what would hinder a reader: the rule, and where it is broken."""
    found = Axe().run(page, context=SHOWN).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]} {node['failureSummary']}" for rule in found for node in rule["nodes"]]


def tick(panel: Locator, label: str, names: list[str]) -> None:
    """Tick these of the check boxes under a label, and no others."""
    group = panel.locator(".labkit-several").filter(has=panel.page.get_by_text(label, exact=True))
    for box in group.get_by_role("checkbox").all():
        box.set_checked(box.evaluate("b => b.closest('label').textContent.trim()") in names)


def picture(page: Page | Locator, name: str) -> Path:
    """Keep a screenshot in build/browser and return its path."""
    folder = build_folder() / "browser"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}.png"
    page.screenshot(path=path)
    return path
