# SPDX-License-Identifier: Apache-2.0
"""The button "Will it load elsewhere?" in JupyterLab; LABKIT_TEST_ELSEWHERE=1 boots one kernel of the cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.lab import CELL_MS, Server, hindrances, open_notebook, picture, run_all_cells
from playwright.sync_api import Locator, Page, expect

from labkit.machine.folders import build_folder
from labkit.machine.kernels import fetch
from labkit.machine.kernels.boot import why_not

pytestmark = [pytest.mark.browser, pytest.mark.bpf, pytest.mark.kernel]  # kernel: may skip, since it boots another

KERNEL = fetch.HEADERS_OF  # the one kernel that a trial needs in any case
BOOT_MS = 900_000
OPENS = """%%bpf opens
BPF_HASH(opens, u32, u64);
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    opens.increment(pid);
    return 0;
}
"""


@pytest.fixture
def cache() -> Iterator[Path]:
    """A cache folder with no kernel; not in /tmp, which is another folder in the emulated machine."""
    folder = build_folder() / f"browser-elsewhere-{os.getpid()}"
    (folder / "kernels").mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def asked(page: Page, server: Server, name: str, cache: Path) -> Locator:
    """Run the cell, press the button, and return the box that the answer is put into."""
    first = f"import os\nos.environ['LABKIT_CACHE'] = {str(cache)!r}\n%load_ext labkit"
    open_notebook(page, server, server.write(name, first, OPENS, "opens.detach()"))
    run_all_cells(page)
    ask = page.get_by_role("button", name="Will it load elsewhere?")
    expect(ask).to_be_enabled(timeout=CELL_MS)
    ask.focus()
    page.keyboard.press("Enter")
    return page.locator(".jp-Cell-outputArea").nth(1)


def test_without_a_kernel_the_button_names_the_command_that_fetches_one(
    page: Page, server: Server, cache: Path
) -> None:
    if why := why_not():
        pytest.skip(f"other kernels cannot be booted here: {why}")
    answer = asked(page, server, "elsewhere-none.ipynb", cache)
    expect(answer).to_contain_text("labkit elsewhere --fetch", timeout=CELL_MS)
    assert hindrances(page) == []


def test_one_kernel_answers_next_to_this_machine(page: Page, server: Server, cache: Path) -> None:
    if os.environ.get("LABKIT_TEST_ELSEWHERE") != "1":
        pytest.skip("boots another kernel, which takes minutes: LABKIT_TEST_ELSEWHERE=1 runs it")
    found = fetch.find(KERNEL)
    if why := why_not() or ("" if found else f"kernel {KERNEL} is not in the cache: labkit elsewhere --fetch"):
        pytest.skip(why)
    assert found is not None
    (cache / "kernels" / KERNEL).symlink_to(found.folder.resolve())
    answer = asked(page, server, "elsewhere-one.ipynb", cache)
    expect(answer.get_by_role("status")).to_contain_text(f"{KERNEL}: emulated", timeout=CELL_MS)
    expect(answer).to_contain_text("all were asked", timeout=BOOT_MS)
    row = answer.locator("tr", has_text=found.release)
    expect(row).to_contain_text("accepted")
    expect(answer.locator("tr", has_text="this machine")).to_contain_text("accepted")
    assert hindrances(page) == []
    picture(answer, "elsewhere")
