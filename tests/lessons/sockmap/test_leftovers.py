# SPDX-License-Identifier: Apache-2.0
"""Lesson 09: after the shortcut, in whatever way it ended, no program and no cgroup is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.lessons.sockmap.shortcut import Shortcut
from labkit.machine.folders import repo_folder
from labkit.running.cgroup import sweep_cgroups

bpf = pytest.mark.bpf


def attached_programs() -> list[str]:
    tree = json.loads(subprocess.run(["bpftool", "-j", "cgroup", "tree"], capture_output=True, check=True).stdout)
    return [program["name"] for group in tree for program in group["programs"]]


def held_programs() -> list[int]:
    listed = json.loads(subprocess.run(["bpftool", "-j", "prog"], capture_output=True, check=True).stdout)
    return [program["id"] for program in listed if program.get("name") in ("note_connection", "send_message")]


@bpf
def test_while_it_is_on_one_cgroup_has_it_and_afterwards_none() -> None:
    before = attached_programs().count("note_connection")
    with Shortcut() as cut:
        assert attached_programs().count("note_connection") == before + 1
        folder = cut.cgroup.path
    assert attached_programs().count("note_connection") == before
    assert not folder.exists()


HOLDER = """
import sys
from labkit.bpf import attach
from labkit.running.workload import Workload
from labkit.lessons.sockmap.shortcut import Shortcut
if sys.argv[1] == "without links":
    attach._link = lambda *_: -22
with Shortcut() as cut, Workload("ping_pong", ["--seconds", "600"]) as run:
    cut.cgroup.add(run.pid)
    run.start()
    while not cut.counts().redirects:
        pass
    print(cut.cgroup.path, run.pid, flush=True)
    sys.stdin.read()
"""


@bpf
@pytest.mark.parametrize("how", ["with links", "without links"])
def test_after_sigkill_and_restart_nothing_is_attached(how: str) -> None:
    before = set(held_programs())
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=repo_folder()
    ) as lab:
        folder, pid = lab.stdout.readline().split()
        assert set(held_programs()) - before
        handle = os.pidfd_open(int(pid))
        lab.kill()
    with Shortcut():  # the restart: it sweeps
        assert not Path(folder).exists()
    import select

    assert select.select([handle], [], [], 30)[0]  # the workload has ended
    os.close(handle)
    assert sweep_cgroups() == []
    # that no program stays is checked after every test
