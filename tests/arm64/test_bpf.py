# SPDX-License-Identifier: Apache-2.0
"""Every BPF program of the lab compiles for arm64, against arm64's own kernel headers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tree import ROOT, named, short

from labkit.machine import headers

PROGRAMS = named(".c", under="c/bpf")

pytestmark = pytest.mark.bpf  # making maps needs what loading programs needs


@pytest.fixture(scope="module")
def compiled(arm64: Path) -> dict[str, list[dict[str, Any]]]:
    """Compile all programs in one process of its own, whose ARCH is arm64; return the result of each."""
    folder = next((arm64 / "usr/src").glob("linux-headers-*-arm64"))
    tree = headers._whole(arm64, folder)
    assert tree is not None
    script = Path(__file__).with_name("compile_all.py")
    ran = subprocess.run(
        [sys.executable, str(script), str(tree), *map(short, PROGRAMS)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    found: dict[str, list[dict[str, Any]]] = {}
    for line in ran.stdout.splitlines():
        row = json.loads(line)
        found.setdefault(row["file"], []).append(row)
    return found


@pytest.mark.parametrize("path", PROGRAMS, ids=short)
def test_it_compiles_for_arm64(path: Path, compiled: dict[str, list[dict[str, Any]]]) -> None:
    assert [row for row in compiled[short(path)] if not row["ok"]] == []


@pytest.mark.parametrize("path", [path for path in PROGRAMS if path.parent.name == "bpf"], ids=short)
def test_it_has_a_form_that_asks_for_nothing_that_5_10_lacks(
    path: Path, compiled: dict[str, list[dict[str, Any]]]
) -> None:
    """clang makes `atomic or` of adding 0, for example, which that kernel refuses."""
    rows = compiled[short(path)]
    rows = [row for row in rows if "NO_ATTACH_COOKIE" in row["flags"]] or rows
    assert [row["newer"] for row in rows if row["newer"]] == []
