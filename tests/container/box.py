# SPDX-License-Identifier: Apache-2.0
"""The lab in a container, started as a learner does: by scripts/container.sh, and seen from the machine outside.

podman keeps these containers in a store of its own, apart from the machine's. The base image is made of packages by
scripts/fresh-base.sh and takes the name after the Dockerfile's FROM, so that the Dockerfile is built as it is.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from leftovers import MARK
from tree import ROOT

STORE = Path(os.environ.get("FRESH_STORE", "/var/tmp/labkit-fresh"))
ENGINE = ["podman", "--root", str(STORE / "containers"), "--runroot", "/run/labkit-test-containers"]
ENGINE += ["--runtime", "runc"]  # crun refuses a machine with both versions of cgroups
BUILD_FLAGS = ["--isolation", "chroot", "--network", "host", "--pull=never"]
# A network that needs no firewall, and limits below a plain container's: both work in a nested or hardened machine.
RUN_FLAGS = ["--network", "slirp4netns", "--ulimit", "nofile=10000:10000", "--ulimit", "nproc=1000:1000"]
NAME = "labkit-test"
BASE = re.findall(r"^FROM (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
BUILD_S, START_S, LESSONS_S = 1500, 300, 1500


def engine(*words: str, check: bool = True, timeout_s: float = 60) -> str:
    """Run the engine and return what it printed."""
    ran = subprocess.run([*ENGINE, *words], capture_output=True, text=True, check=False, timeout=timeout_s)
    assert not check or ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
    return ran.stdout


def make_base(folder: Path) -> None:
    """Import a base image under the name that the Dockerfile wants, unless the store has it."""
    [name] = BASE
    wanted = f"docker.io/library/{name}"
    if subprocess.run([*ENGINE, "image", "exists", wanted], check=False).returncode == 0:
        return
    suite = name.partition(":")[2].removesuffix("-slim")
    subprocess.run([ROOT / "scripts/fresh-base.sh", suite, folder], check=True, timeout=BUILD_S)
    with subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run([*ENGINE, "import", "-", wanted], stdin=tar.stdout, check=True, capture_output=True)


def build() -> None:
    """Build the image as scripts/container.sh does; its output is in build/container-build.log."""
    log = ROOT / "build/container-build.log"
    command = [*ENGINE, "build", "--format", "docker", *BUILD_FLAGS, "--tag", "labkit:local", ROOT]
    with log.open("w") as out:
        built = subprocess.run(command, stdout=out, stderr=out, check=False, timeout=BUILD_S)
    assert built.returncode == 0, "\n".join(log.read_text().splitlines()[-20:])


class _Stay(urllib.request.HTTPRedirectHandler):
    """Being sent to the login page is an answer, not a way to go."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


class Box:
    """A running container, its link, and the token in it."""

    def __init__(self, *, reduced: bool, mark: str) -> None:
        self.reduced, self.mark = reduced, mark
        self.port = _free_port()
        self.told = self.url = self.token = ""
        self.start_s = 0.0

    def script(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run scripts/container.sh with this machine's flags."""
        settings = {
            "ENGINE": " ".join(ENGINE),
            "BUILD_FLAGS": " ".join(BUILD_FLAGS),
            "RUN_FLAGS": " ".join([*RUN_FLAGS, "--env", f"{MARK}={self.mark}"]),
            "NAME": NAME,
            "PORT": str(self.port),
            "REDUCED": "1" if self.reduced else "",
        }
        command = [ROOT / "scripts/container.sh", *words]
        return subprocess.run(
            command,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=BUILD_S,
        )

    def start(self) -> None:
        ran = self.script()
        assert ran.returncode == 0, ran.stdout + ran.stderr
        self.told = ran.stdout
        found = re.search(r"(http://[^/\s]+)/lab/tree/learner/00-start.ipynb\?token=(\S+)", ran.stdout)
        assert found, ran.stdout
        self.url, self.token = found.groups()
        started = engine("container", "inspect", "-f", "{{.State.StartedAt.Unix}}", NAME)
        self.start_s = round(time.time() - float(started), 1)

    def stop(self) -> None:
        ran = self.script("stop")
        assert ran.returncode == 0, ran.stderr

    def run(self, *words: str, timeout_s: float = 120) -> str:
        """Run a command in the container."""
        return engine("exec", NAME, *words, timeout_s=timeout_s)

    def python(self, code: str) -> str:
        return self.run("python", "-c", code)

    def doctor(self, *words: str) -> dict[str, dict[str, Any]]:
        """Return the doctor's rows by name."""
        return rows(self.run("labkit", "doctor", "--json", *words))

    def status(self, path: str, token: str = "", method: str = "GET") -> int:
        """Return the status with which the lab answers a request."""
        request = urllib.request.Request(f"{self.url}{path}", method=method, data=b"{}" if method == "POST" else None)
        if token:
            request.add_header("Authorization", f"token {token}")
        try:
            with _OPENER.open(request, timeout=20) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as refusal:
            return refusal.code


def rows(told: str) -> dict[str, dict[str, Any]]:
    """Return the doctor's JSON as rows by name."""
    return {row["name"]: row for row in json.loads(told)["capabilities"]}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
