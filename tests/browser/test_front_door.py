# SPDX-License-Identifier: Apache-2.0
"""What `make lab` opens: lesson 00 with its table of contents, behind a token, on this machine alone."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.lab import CELL_MS, free_port
from playwright.sync_api import Page, expect

from labkit.machine.folders import repo_folder

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the lab where the user's own JupyterLab asks for no token and listens everywhere; yield its link."""
    home = tmp_path_factory.mktemp("home")
    (home / ".jupyter").mkdir()
    (home / ".jupyter/jupyter_server_config.py").write_text(
        "c.IdentityProvider.token = ''\nc.ServerApp.password = ''\nc.ServerApp.allow_unauthenticated_access = True\n"
    )
    environment = {**os.environ, "HOME": str(home), "LABKIT_DATA": str(home / "data")}
    environment = {name: value for name, value in environment.items() if not name.startswith("JUPYTER")}
    port = free_port()
    command = ["scripts/lab.sh", f"--port={port}", "--ServerApp.port_retries=0"]
    process = subprocess.Popen(
        command, cwd=repo_folder(), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"http://127\S+", line):
            break
    else:
        pytest.fail(said)
    while process.poll() is None:  # it prints the link a moment before it answers
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
    yield found[0]
    process.terminate()
    process.wait(30)


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_without_the_token_nothing_is_served(link: str) -> None:
    server, token = re.split(r"/lab/tree/.*token=", link)
    assert len(token) >= 32
    for path in ("/api/contents", "/api/kernels", "/api/contents?token=wrong"):
        assert status(server + path) == 403, path
    assert status(f"{server}/api/contents?token={token}") == 200


def test_it_listens_on_this_machine_only(link: str) -> None:
    port = int(re.findall(r":(\d+)/", link)[0])
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    listening = [row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port]
    loopback = f"{int.from_bytes(socket.inet_aton('127.0.0.1'), 'little'):08X}"
    assert listening == [loopback]


def test_it_opens_on_lesson_00_with_its_table_of_contents(link: str, page: Page) -> None:
    page.goto(link)
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=CELL_MS)
    expect(page.get_by_role("heading", name=re.compile("Start here"))).to_be_visible()
    contents = page.locator(".jp-TableOfContents")
    expect(contents.get_by_text("Your first panel")).to_be_visible()
    expect(page.get_by_text(re.compile("would you like.*news", re.IGNORECASE))).to_have_count(0)


def test_the_table_of_contents_leads_to_a_section(page: Page) -> None:
    """Continues where the test above ended."""
    page.locator(".jp-TableOfContents").get_by_text("Three exercises").click()
    expect(page.get_by_role("heading", name="Three exercises")).to_be_in_viewport()


def test_it_opens_where_the_data_folder_cannot_be_written() -> None:
    """The doctor, in lesson 00, says what is wrong with that folder: so the lab has to open."""
    command = ["scripts/lab.sh", "--version"]
    ran = subprocess.run(
        command,
        cwd=repo_folder(),
        env={**os.environ, "LABKIT_DATA": "/proc/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
