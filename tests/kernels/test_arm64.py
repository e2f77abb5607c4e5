# SPDX-License-Identifier: Apache-2.0
"""What the emulated arm64 machine is made from, and where its results go (`make test-kernels ARCH=arm64`)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import kernels.__main__ as command
import pytest
from kernels.table import END, START

from labkit.machine.kernels import arm64


def test_it_gets_the_labs_packages_for_its_own_architecture() -> None:
    packages = arm64._packages()
    assert {"linux-headers-arm64", "python3-bpfcc", "gcc", "liburing-dev"} <= set(packages)
    assert not [name for name in packages if "@" in name or "amd64" in name or "x86" in name or name == "chromium"]


def test_the_disk_holds_this_tree_as_it_is_and_the_kernels_modules(tmp_path: Path) -> None:
    (tmp_path / "kernel/kernel/modules/6.0-arm64").mkdir(parents=True)
    (tmp_path / "scratch").mkdir()
    arm64._tree_onto(tmp_path / "tree.img", tmp_path / "kernel", tmp_path / "scratch")
    for name in ("Makefile", "tests/kernels/test_arm64.py", "build/kernel/modules/6.0-arm64"):
        found = subprocess.run(
            ["/sbin/debugfs", "-R", f"stat {name}", str(tmp_path / "tree.img")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Inode:" in found.stdout, (name, found.stderr)


def results(day: str, *series: str) -> dict[str, dict[str, Any]]:
    row = {"passed": 3, "failed": 0, "skipped": 0, "not_run": 0, "failures": [], "reasons": []}
    return {each: {"release": f"{each}-x", "lessons": {"01 hello": row}, "day": day, "seconds": 1} for each in series}


def test_a_run_of_all_tests_replaces_its_kernels_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "repo_folder", lambda: tmp_path)
    page = tmp_path / "docs/kernels.md"
    page.parent.mkdir()
    page.write_text(f"{START}\n{END}\n")
    command.write(results("2030-01-01", *arm64.ARM64, "6.12"), page=True)
    command.write(results("2030-01-02", "5.10"), page=False)  # of tests of the caller's choice
    assert "5.10" not in page.read_text()
    command.write(results("2030-01-03", "6.12", "6.1"), page=True)
    header = page.read_text().splitlines()[2]
    assert [cell.split()[-1] for cell in header.strip("|").split("|")[1:]] == [
        *["2030-01-03)"] * 2,
        *["2030-01-01)"] * len(arm64.ARM64),
    ]
    assert list(json.loads((tmp_path / "docs/kernels.json").read_text())) == ["6.1", "6.12", *arm64.ARM64]
