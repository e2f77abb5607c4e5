# SPDX-License-Identifier: Apache-2.0
"""Lesson 12's panel with each of its choices, at two widths: a picture and a sentence each, and Stop in between.

Only `make test-panels` runs these tests. The pictures are kept in build/browser/.
"""

from __future__ import annotations

import os
import re

import pytest
from browser.lab import CELL_MS, Server, hindrances, open_notebook, picture, run_all_cells
from playwright.sync_api import Locator, Page, expect

from labkit.lessons.your_program import VIEWS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        os.environ.get("LABKIT_TEST_PANELS") != "1", reason="`make test-panels` runs it (LABKIT_TEST_PANELS=1)"
    ),
]

# it has something of everything: files, a socket, a lock, sleeps, new memory, and time on the CPU
SCRIPT = """\
import socket, threading, time
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
peer, _ = server.accept()
lock = threading.Lock()
def wait():
    with lock:
        time.sleep(0.001)
def compute(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: sum(range(1000))
for number in range(23):
    client.sendall(b"x" * 100)
    peer.sendall(peer.recv(100))
    client.recv(100)
    with lock:
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.002)
    thread.join()
    compute(0.02)
    open("/dev/null", "wb").write(bytearray(1_000_000))
"""
SAID = {
    "calls": "The longest time",
    "files": "The longest time",
    "waits": "The longest time",
    "locks": "waits? for the lock",
    "on_cpu": "different stacks",
    "off_cpu": "different stacks",
    "faults": "different stacks",
    "tcp": "round trip",
}


@pytest.fixture(scope="module")
def panel(tab: tuple[Page, list[str]], server: Server) -> Locator:
    (server.folder / "busy.py").write_text(SCRIPT)
    page = tab[0]
    cell = "from labkit.lessons import your_program\npanel = your_program.panel()\npanel"
    open_notebook(page, server, server.write("watch.ipynb", cell))
    run_all_cells(page)
    found = page.locator(".labkit-panel")
    expect(found).to_be_visible(timeout=CELL_MS)
    found.get_by_label("command").fill(f"/usr/bin/python3 {server.folder}/busy.py")
    found.get_by_label("command").press("Tab")
    return found


@pytest.mark.parametrize("what", VIEWS)
def test_each_choice_has_a_picture_and_a_sentence(panel: Locator, what: str) -> None:
    page = panel.page
    panel.get_by_label("look at").select_option(what)
    panel.get_by_role("button", name="Run").click()
    expect(panel.get_by_role("button", name="Stop")).to_be_enabled(timeout=CELL_MS)
    expect(panel.get_by_text("Done.")).to_be_visible(timeout=CELL_MS)
    expect(panel.get_by_role("alert")).to_have_count(0)
    expect(panel.get_by_text(re.compile(SAID[what])).first).to_be_visible()
    expect(panel.get_by_text(re.compile("The probes ran")).first).to_be_visible()
    for width in (1400, 700):
        page.set_viewport_size({"width": width, "height": 1000})
        assert panel.evaluate("panel => panel.getBoundingClientRect().right") <= width
        picture(panel, f"watch-{what}-{width}")
    assert hindrances(page) == []


def test_stop_ends_a_command(panel: Locator) -> None:
    panel.get_by_label("command").fill("sleep 600")
    panel.get_by_label("at most").fill("600")
    panel.get_by_label("at most").press("Tab")
    panel.get_by_role("button", name="Run").click()
    expect(panel.get_by_text(re.compile("sleep"))).to_be_visible(timeout=CELL_MS)
    panel.get_by_role("button", name="Stop").click()
    expect(panel.get_by_text("Stopped. Nothing was kept")).to_be_visible(timeout=CELL_MS)
