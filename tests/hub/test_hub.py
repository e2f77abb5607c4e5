# SPDX-License-Identifier: Apache-2.0
"""One host, one hub: who gets in, what a learner has, what a restart of the hub and a full volume do."""

from __future__ import annotations

import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from container.box import ENGINE, engine
from hub.hub import LAB_MS, NAME, Hub, Learner, containers, volumes
from playwright.sync_api import expect

pytestmark = pytest.mark.container

Open = Callable[[str], Learner]
# Measures again and again, until the test says that the hub is back.
MEASURE = """
from pathlib import Path
from labkit.lessons import io_engines
io_engines.measure("sync", seconds=0.2, slices=4)
print("measured once", flush=True)
rounds = 0
while rounds < 200 and not Path("/lab/learner/hub-is-back").exists():
    frame = io_engines.measure("sync", seconds=0.2, slices=4)
    rounds += 1
frame = io_engines.measure("sync", seconds=0.2, slices=4)
print("measured", rounds, "times, and once more:", len(frame) > 0)
"""


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


def test_all_that_listens_is_of_this_machine(hub: Hub) -> None:
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    doors = {line.split()[3] for line in listening if '"node"' in line or '"conmon"' in line or '"jupyterhub"' in line}
    assert f"127.0.0.1:{hub.port}" in doors
    assert {door.rpartition(":")[0] for door in doors} <= {"127.0.0.1", "10.89.0.1", "10.89.1.1"}  # podman's bridges


def test_nobody_else_gets_in(hub: Hub, learner: Open) -> None:
    stranger = learner("mallory")
    stranger.log_in("mallory")
    expect(stranger.page.get_by_text("Invalid username or password")).to_be_visible()
    ada = learner("ada")
    ada.log_in("ada")
    expect(ada.page.get_by_text("Invalid username or password")).to_be_visible()
    assert status(f"{hub.url}/hub/signup") == 404
    assert status(f"{hub.url}/hub/api/users") == 403
    assert containers() == []


def test_a_learner_gets_a_lab_with_limits(hub: Hub, learner: Open) -> None:
    ada = learner("ada")
    ada.log_in()
    ada.wait_for_the_lab()
    ada.picture("hub-lab")
    limits = ada.inspect()["HostConfig"]
    assert (limits["Memory"], limits["NanoCpus"] or limits["CpuQuota"] * 10_000) == (2 << 30, 2_000_000_000)
    assert limits["PidsLimit"] == 1000 and limits["Privileged"] is False
    assert ada.inside("scripts/container-health.sh") == ""
    [published] = ada.inspect()["NetworkSettings"]["Ports"]["8888/tcp"]
    assert published["HostIp"] == "127.0.0.1"
    door = f"http://127.0.0.1:{published['HostPort']}/user/ada/api"
    assert status(f"{door}/contents") == status(f"{door}/kernels") == 403


def test_who_logs_in_twice_finds_the_same_lab(learner: Open) -> None:
    first, second = learner("ada"), learner("ada")
    for window in (first, second):
        window.log_in()
        window.wait_for_the_lab()
    assert containers() == [f"{NAME}-ada"]
    notebook = first.write("twice.ipynb", "from pathlib import Path; print(Path('/proc/self').resolve())")
    first.open(notebook)
    first.run_all()
    first.wait_until_all_ran(60)
    second.open(notebook)
    second.run_all()
    second.wait_until_all_ran(60)
    assert first.outputs() == second.outputs() != ""  # one kernel: two windows show one notebook


def test_a_hub_that_restarts_disturbs_no_measurement(hub: Hub, learner: Open) -> None:
    ada = learner("ada")
    ada.log_in()
    ada.wait_for_the_lab()
    ada.open(ada.write("measure.ipynb", MEASURE))
    started = ada.inspect()["State"]["StartedAt"]
    ada.run_all()
    expect(ada.page.locator(".jp-Cell-outputArea", has_text="measured once")).to_have_count(1, timeout=LAB_MS)
    hub.restart()
    ada.inside("touch", "/lab/learner/hub-is-back")
    ada.wait_until_all_ran(300)
    assert re.search("measured [1-9][0-9]* times, and once more: True", ada.outputs())  # the proxy cut no connection
    assert ada.inspect()["State"]["StartedAt"] == started
    ada.page.goto(f"{hub.url}/hub/home")
    expect(ada.page.get_by_role("button", name="Stop My Server")).to_be_visible()


def test_what_a_learner_wrote_outlives_the_container(learner: Open) -> None:
    ada = learner("ada")
    ada.log_in()
    ada.wait_for_the_lab()
    ada.inside("sh", "-c", "echo mine > /lab/learner/mine.txt")
    ada.page.goto(f"{ada.hub.url}/hub/home", wait_until="networkidle")  # a script handles the button
    ada.page.get_by_role("button", name="Stop My Server").click()
    expect(ada.page.get_by_role("button", name="Start My Server")).to_be_visible(timeout=60_000)
    assert containers() == [] and volumes() == [f"{NAME}-ada"]
    ada.page.get_by_role("button", name="Start My Server").click()
    ada.wait_for_the_lab()
    assert ada.inside("cat", "/lab/learner/mine.txt") == "mine\n"


def test_a_full_volume_locks_nobody_out(learner: Open) -> None:
    """A volume of 64 KiB holds not even the lessons: the lab opens all the same, and files can be removed in it."""
    teacher = learner("teacher")
    engine("volume", "create", f"{NAME}-teacher")
    folder = engine("volume", "inspect", "--format", "{{.Mountpoint}}", f"{NAME}-teacher").strip()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "full", folder], check=True)
    try:
        teacher.log_in()
        teacher.page.wait_for_url(re.compile("/user/teacher/lab"), timeout=180_000)
        expect(teacher.page.get_by_role("menuitem", name="File", exact=True)).to_be_visible(timeout=60_000)
        teacher.picture("hub-volume-full")
        logs = subprocess.run([*ENGINE, "logs", teacher.container], capture_output=True, text=True, check=True)
        said = logs.stdout + logs.stderr
        assert "cannot be copied to /lab/learner: No space left on device.\nFix: remove files" in said, said[-2000:]
        assert "Traceback" not in said
        teacher.inside("sh", "-c", "rm /lab/learner/*.ipynb && echo mine > /lab/learner/mine.txt")
    finally:
        engine("rm", "--force", "--volumes", teacher.container)
        subprocess.run(["umount", folder], check=True)
