# SPDX-License-Identifier: Apache-2.0
"""Build the C workloads and run them by hand, without labkit: these tests are about the programs alone."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a finished program left: its exit status, its JSON line and what it told people."""

    status: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The JSON line, when the program ended well."""
        assert self.status == 0, f"exit {self.status}: {self.stderr}"
        found = json.loads(self.stdout.splitlines()[-1])
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True)
class Program:
    """One built workload."""

    path: Path

    def run(self, *options: object, under: tuple[str, ...] = (), timeout_s: float = 120, **more: Any) -> Outcome:
        """Run it to its end with --go; `under` is a command that is put before it."""
        command = [*under, str(self.path), "--go", *map(str, options)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, **more)
        return Outcome(done.returncode, done.stdout, done.stderr)

    def start(self, *options: object, **more: Any) -> subprocess.Popen[str]:
        """Start it with pipes, as far as "ready"."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [str(self.path), *map(str, options)], stdin=pipe, stdout=pipe, stderr=pipe, text=True, **more
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process


@pytest.fixture(scope="session")
def build() -> Callable[..., Program]:
    """build("hello") or build("hello", san=True): make one program. With idle_ms, SQPOLL's thread sleeps after it."""

    @functools.cache
    def make(name: str, *, san: bool = False, idle_ms: int = 0) -> Program:
        command = ["make", "-s", "-C", str(REPO / "c"), *(["SAN=1"] if san else []), name]
        if idle_ms:
            folder = REPO / "build" / f"idle-{idle_ms}"
            command += [f"BUILD={folder}", f"CC=cc -DSQPOLL_IDLE_MS={idle_ms}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        if idle_ms:
            return Program(folder / "workloads" / name)
        return Program(REPO / "build" / ("workloads-san" if san else "workloads") / name)

    return make


@pytest.fixture
def strace_counts(tmp_path: Path) -> Callable[..., tuple[Outcome, dict[str, int]]]:
    """Run a program under `strace -f -c`: its outcome, and the calls of each kind that strace saw."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: apt-get install strace")

    def run(program: Program, *options: object, **more: Any) -> tuple[Outcome, dict[str, int]]:
        table = tmp_path / "strace.txt"
        outcome = program.run(*options, under=("strace", "-f", "-c", "-U", "calls,name", "-o", str(table)), **more)
        rows = re.findall(r"^\s*(\d+)\s+(\w+)\s*$", table.read_text(), re.MULTILINE)
        return outcome, {name: int(calls) for calls, name in rows if name != "total"}

    return run
