# SPDX-License-Identifier: Apache-2.0
"""A tool next to Python is found, although the PATH of a notebook's kernel lacks that folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from labkit.lessons._redis import server
from labkit.machine.doctor.catalogue import CATALOGUE
from labkit.machine.tools import find_tool


def test_a_program_next_to_python_is_found_without_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_tool("ruff") == str(Path(sys.executable).parent / "ruff")
    assert find_tool("nonesuch") is None


def test_the_lesson_and_the_doctor_agree_on_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    [entry] = [each for each in CATALOGUE if each.name == "redis"]
    assert (entry.probe().state == "ok") == ("redis-server" not in server.why_not())
    assert "install redis-server" not in server.why_not() + str(entry.probe().fix)  # that package starts a service
