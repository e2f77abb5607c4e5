# SPDX-License-Identifier: Apache-2.0
"""A container that is ended in the middle of a measurement leaves nothing in the machine."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from container.box import ENGINE, NAME, Box, engine
from leftovers import MARK

pytestmark = pytest.mark.container

# attaches a program, prints the kernel's numbers of it, and keeps it
HOLD = """
import time
from pathlib import Path
from labkit.bpf.program import Program
with Program("hello") as program:
    program.aim(pid=1)
    program.attach()
    told = [path.read_text() for path in Path("/proc/self/fdinfo").iterdir() if path.exists()]
    lines = [line.split() for text in told for line in text.splitlines()]
    print(*(words[1] for words in lines if words[0] == "prog_id:"), flush=True)
    time.sleep(600)
"""


def test_ended_in_mid_run_it_leaves_nothing(box: Box) -> None:
    """A program is in the kernel when the container is ended: it goes, and so do the processes and cgroups."""
    command = [*ENGINE, "exec", NAME, "python", "-c", HOLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holding:
        assert holding.stdout is not None
        programs = set(holding.stdout.readline().split())
        assert programs and programs <= loaded()
        number = engine("container", "inspect", "-f", "{{.Id}}", NAME).strip()
        assert cgroups(number)
        box.stop()
        holding.wait(30)
    # by its name: other containers of this store, such as a hub's, do not count
    assert subprocess.run([*ENGINE, "container", "exists", NAME], check=False).returncode == 1
    assert eventually_empty(lambda: programs & loaded()) == set()
    assert eventually_empty(lambda: set(marked(box.mark))) == set()
    assert eventually_empty(lambda: cgroups(number)) == set()


def loaded() -> set[str]:
    """Return the numbers of the programs in the kernel, as the machine's bpftool lists them."""
    listed = subprocess.run(["bpftool", "-j", "prog", "list"], capture_output=True, text=True, check=True)
    return {str(program["id"]) for program in json.loads(listed.stdout)}


def cgroups(number: str) -> set[str]:
    """Return the cgroups of a container, of either version."""
    return {str(path) for path in Path("/sys/fs/cgroup").rglob(f"*{number}*") if path.is_dir()}


def marked(mark: str) -> list[str]:
    """Return the processes of this test's containers."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has just ended
            if f"{MARK}={mark}".encode() in environ.read_bytes():
                found.append(environ.parent.name)
    return found


def eventually_empty(look: Callable[[], set[str]]) -> set[str]:
    """Return what is still there after the kernel had time to free it."""
    deadline = time.monotonic() + 10
    while (there := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return there
