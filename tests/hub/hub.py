# SPDX-License-Identifier: Apache-2.0
"""The class's hub under podman, started as a teacher does, and learners who come to it with a browser of their own."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from browser.lab import free_port, picture
from container.box import BUILD_FLAGS, BUILD_S, ENGINE, engine
from playwright.sync_api import Browser, Page, expect
from tree import ROOT

from labkit.stats.trial import median_interval

NAME = "labkit-test-class"
START_S = 120
LAB_MS = 600_000  # until a lab is open, or a page answers: seconds on a quiet machine
PYTHON = ROOT / "build/classroom/venv/bin/python"
LEARNERS = ("teacher", "ada", "bob", "cem", "dora")


def build_image() -> None:
    """Build the image as `make classroom-image` does."""
    settings = {"ENGINE": " ".join(ENGINE), "BUILD_FLAGS": " ".join(BUILD_FLAGS)}
    built = subprocess.run(
        [ROOT / "scripts/container.sh", "image"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_S,
    )
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]


class Hub:
    """A running hub: its address, the passwords, and what a teacher can do to it."""

    def __init__(self, mark: dict[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="labkit-hub-")  # short: a socket's path goes in it
        self.state = Path(self._folder.name) / "state"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._mark = mark
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is open."""
        names = Path(self._folder.name) / "learners.txt"
        names.write_text("\n".join(LEARNERS))
        settings = {"ENGINE": " ".join(ENGINE), "PORT": str(self.port), "LEARNERS": str(names), "LABKIT_QUICK": "1"}
        settings |= {"CLASS_NAME": NAME, "CLASS_STATE": str(self.state), **self._mark}
        environment = {key: value for key, value in os.environ.items() if key != "DOCKER_HOST"} | settings
        self._process = subprocess.Popen(
            [PYTHON, ROOT / "classroom/hub.py"],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert f"The hub is open:  {self.url} " in said, said + self.log()

    def log(self) -> str:
        file = self.state / "hub.log"
        return file.read_text(errors="replace")[-3000:] if file.exists() else ""

    def restart(self) -> None:
        """Have the hub ended and started again, and wait until it answers; the proxy goes on."""
        assert self._process is not None
        before = self.log().count("JupyterHub is now running")
        self._process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + START_S
        while (self.state / "hub.log").read_text().count("JupyterHub is now running") <= before:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.2)

    def stop(self) -> None:
        """End it as Ctrl-C does, and the containers; remove the volumes and the network."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
        environment = {**os.environ, "ENGINE": " ".join(ENGINE), "CLASS_NAME": NAME}
        subprocess.run([sys.executable, ROOT / "classroom/hub.py", "stop"], env=environment, check=True, timeout=120)
        for volume in volumes():
            engine("volume", "rm", "--force", volume)
        engine("network", "rm", "--force", NAME, check=False)
        self._folder.cleanup()

    def password(self, name: str) -> str:
        with (self.state / "passwords.csv").open(newline="") as file:
            return next(row["password"] for row in csv.DictReader(file) if row["name"] == name)


def overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    """Return whether the 95 % intervals of two medians overlap."""
    (_, low, high), (_, other_low, other_high) = median_interval(one), median_interval(other)
    return low <= other_high and other_low <= high


def volumes() -> list[str]:
    """Return the names of the learners' volumes."""
    return [name for name in engine("volume", "ls", "--format", "{{.Name}}").split() if name.startswith(f"{NAME}-")]


def containers() -> list[str]:
    """Return the names of the learners' containers that run."""
    return [name for name in engine("ps", "--format", "{{.Names}}").split() if name.startswith(f"{NAME}-")]


class Learner:
    """A learner's browser window."""

    def __init__(self, browser: Browser, hub: Hub, name: str) -> None:
        self.name, self.hub = name, hub
        self.container = f"{NAME}-{name}"
        self._context = browser.new_context(viewport={"width": 1280, "height": 800})
        self._context.set_default_timeout(LAB_MS)
        self.page: Page = self._context.new_page()
        self.page.on("dialog", lambda dialog: dialog.accept())

    def close(self) -> None:
        self._context.close()

    def log_in(self, password: str | None = None) -> None:
        self.page.goto(f"{self.hub.url}/hub/login")
        self.page.fill("input[name=username]", self.name)
        self.page.fill("input[name=password]", self.hub.password(self.name) if password is None else password)
        self.page.get_by_role("button", name="Sign in").click()

    def wait_for_the_lab(self) -> None:
        self.page.wait_for_url(re.compile(f"/user/{self.name}/lab"), timeout=LAB_MS, wait_until="commit")
        self.wait_until_idle()

    def open(self, notebook: str) -> None:
        self.page.goto(f"{self.hub.url}/user/{self.name}/lab/tree/{notebook}?reset")
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        expect(self.page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=LAB_MS)

    def run_all(self) -> None:
        """Choose Run, Run All Cells; does not wait."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_text("Run All Cells", exact=True).click()

    def wait_until_all_ran(self, timeout_s: float) -> None:
        """Wait until no cell has a star, and the kernel is idle."""
        stars = self.page.locator(".jp-InputPrompt", has_text="[*]:")
        expect(stars).to_have_count(0, timeout=timeout_s * 1000)
        self.wait_until_idle()

    def saved(self, notebook: str) -> list[dict[str, Any]]:
        """Save the notebook that is open and return its code cells, as they are in the learner's volume."""
        self.page.get_by_role("menuitem", name="File", exact=True).click()
        self.page.get_by_text("Save Notebook", exact=True).click()
        expect(self.page.locator(".lm-TabBar-tab.lm-mod-current.jp-mod-dirty")).to_have_count(0)
        told = json.loads(self.inside("cat", f"/lab/{notebook}"))
        return [cell for cell in told["cells"] if cell["cell_type"] == "code"]

    def outputs(self) -> str:
        return "\n".join(self.page.locator(".jp-Cell-outputArea").all_inner_texts())

    def write(self, name: str, *cells: str) -> str:
        """Put a notebook of code cells into the learner's volume; return its path for the browser."""
        notebook = {
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"cell{i}",
                    "metadata": {},
                    "source": cell,
                    "outputs": [],
                    "execution_count": None,
                }
                for i, cell in enumerate(cells)
            ],
            "metadata": {
                "kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        self.inside("python", "-c", f"open({f'/lab/learner/{name}'!r}, 'w').write({json.dumps(notebook)!r})")
        return f"learner/{name}"

    def inside(self, *words: str, timeout_s: float = 120, check: bool = True) -> str:
        """Run a command in the learner's container."""
        return engine("exec", self.container, *words, timeout_s=timeout_s, check=check)

    def picture(self, name: str) -> Path:
        return picture(self.page, name)

    def inspect(self) -> dict[str, Any]:
        """Return what the engine says of the container."""
        [told] = json.loads(engine("container", "inspect", self.container))
        return dict(told)
