# SPDX-License-Identifier: Apache-2.0
"""A started lab, privileged and reduced: who gets in, what works, what the learner keeps."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import Any

import pytest
from container.box import LESSONS_S, Box, rows
from tree import ROOT

pytestmark = pytest.mark.container
TIMES = 23
REFUSED = (302, 403, 405)  # 302: to the login page
COUNT_OPENS = """
#include "labkit.h"
BPF_PERCPU_ARRAY(opens, u64, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	int first = 0;
	u64 *count = opens.lookup(&first);

	if (count && labkit_is_target())
		*count += 1;
	return 0;
}
"""


def test_only_this_machine_is_served(box: Box) -> None:
    listening = subprocess.run(["ss", "-Hltn", f"sport = :{box.port}"], capture_output=True, text=True, check=True)
    assert [line.split()[3] for line in listening.stdout.splitlines()] == [f"127.0.0.1:{box.port}"]
    assert box.url == f"http://127.0.0.1:{box.port}"


DOORS = {"/lab": "GET", "/api/status": "GET", "/api/contents": "GET", "/api/kernels": "POST", "/files/README.md": "GET"}


@pytest.mark.parametrize(("path", "method"), DOORS.items())
def test_without_the_token_nothing_is_served(box: Box, path: str, method: str) -> None:
    assert box.status(path, method=method) in REFUSED
    assert box.status(path, token="0" * len(box.token), method=method) in REFUSED


def test_with_the_token_it_opens(box: Box) -> None:
    assert len(box.token) >= 32
    assert box.status("/api/status", token=box.token) == 200
    assert box.status(f"/lab/tree/learner/00-start.ipynb?token={box.token}") == 200


def test_the_health_check_passes(box: Box) -> None:
    assert box.run("scripts/container-health.sh") == ""
    assert box.run("cat", "/proc/1/comm").strip() == "tini" or not box.reduced


def test_the_doctor_finds_all_that_this_machine_has(box: Box) -> None:
    """What fails inside fails outside too: the container takes nothing away."""
    outside = subprocess.run(
        [sys.executable, "-m", "labkit", "doctor", "--json"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    lacking_here = {name for name, row in rows(outside.stdout).items() if row["state"] != "ok"}
    lacking_inside = {name: row for name, row in box.doctor().items() if row["state"] != "ok"}
    assert {name: row["reason"] for name, row in lacking_inside.items() if name not in lacking_here} == {}


def test_a_program_is_aimed_right_whatever_the_pid_namespace(box: Box) -> None:
    """Privileged it is the machine's own namespace, reduced the container's; the filter counts the same."""
    box.run("sh", "-c", f"cat > /lab/data/opens.c <<'C'\n{COUNT_OPENS}C")
    code = f"""
import os
from pathlib import Path
from labkit.bpf.program import Program
from labkit.running.workload import Workload
arguments = ["--open", "/etc/hostname", "--times", "{TIMES}"]
with Program(source=Path("/lab/data/opens.c")) as program, Workload("hello", arguments) as run:
    program.aim(pid=run.pid)
    program.attach()
    run.go()
    print(int(program.counters("opens").sum()), os.readlink("/proc/self/ns/pid"))
"""
    counted, namespace = box.python(code).split()
    assert counted == str(TIMES)
    own = subprocess.run(["readlink", "/proc/self/ns/pid"], capture_output=True, text=True, check=True).stdout.strip()
    assert (namespace == own) == (not box.reduced)


def test_kernel_functions_have_addresses(box: Box) -> None:
    """Else stacks have no names, and BCC reads the whole list again for each (CAP_SYSLOG)."""
    code = "print(sum(int(line.split()[0], 16) > 0 for line in open('/proc/kallsyms')))"
    assert int(box.python(code)) > 1000


def test_every_lesson_runs(box: Box, facts: dict[str, Any]) -> None:
    told = box.run("labkit", "lessons", "--quick", "--to", "/lab/data/lessons", timeout_s=LESSONS_S)
    summary = json.loads(box.run("cat", "/lab/data/lessons/summary.json"))
    facts[f"lessons, {'reduced' if box.reduced else 'privileged'}"] = summary
    assert f"{len(list(ROOT.glob('notebooks/*.ipynb')))} of" in told


def test_what_the_learner_writes_outlives_the_container(box: Box) -> None:
    digest = "import hashlib; print(hashlib.sha256(open('/lab/notebooks/01-hello.ipynb', 'rb').read()).hexdigest())"
    shipped = hashlib.sha256((ROOT / "notebooks/01-hello.ipynb").read_bytes()).hexdigest()
    box.run("sh", "-c", "echo mine > /lab/learner/01-hello.ipynb")
    box.start()  # takes the place of the one that ran
    assert box.run("cat", "/lab/learner/01-hello.ipynb") == "mine\n"
    assert box.python(digest).strip() == shipped

    told = box.run("labkit", "reset", "01")
    assert "is fresh" in told
    assert box.run("sh", "-c", "cat /lab/learner/kept/01-hello-*.ipynb") == "mine\n"
    assert box.run("sh", "-c", "cmp /lab/learner/01-hello.ipynb /lab/notebooks/01-hello.ipynb && echo same") == "same\n"
