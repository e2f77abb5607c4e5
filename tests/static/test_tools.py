# SPDX-License-Identifier: Apache-2.0
"""ruff, mypy and the shell find nothing wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tree import ROOT, files, short

SHELL = [path for path in files() if path.suffix == ".sh" or path.parent.name == ".ci"]


def run(*command: str | Path) -> None:
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        pytest.fail(ran.stdout + ran.stderr, pytrace=False)


def test_ruff() -> None:
    run(sys.executable, "-m", "ruff", "check", "--output-format", "concise", ".")


def test_ruff_format() -> None:
    run(sys.executable, "-m", "ruff", "format", "--check", ".")


def test_mypy() -> None:
    run(sys.executable, "-m", "mypy")


@pytest.mark.parametrize("path", SHELL, ids=short)
def test_shell_scripts_parse(path: Path) -> None:
    shell = path.read_text().splitlines()[0].removeprefix("#!")
    run(shell, "-n", path)
