# SPDX-License-Identifier: Apache-2.0
"""The witness watches before the block begins, says why it cannot, and is gone after the block in any case."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from witness import bpftrace

pytestmark = pytest.mark.bpf


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    processes: list[subprocess.Popen[str]] = []
    plain = subprocess.Popen.__init__

    def start(self: subprocess.Popen[str], *arguments: object, **more: object) -> None:
        plain(self, *arguments, **more)  # type: ignore[arg-type]
        processes.append(self)

    monkeypatch.setattr(subprocess.Popen, "__init__", start)
    return processes


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """A program that no other process runs."""
    path = tmp_path / f"seen-{os.getpid()}"
    path.symlink_to(shutil.which("true") or "/bin/true")
    return path


def test_what_it_counted_is_told_at_its_end(seen: Path) -> None:
    with bpftrace(f'tracepoint:sched:sched_process_exec /comm == "{seen.name}"/ {{ @runs = count(); }}') as witness:
        for _ in range(23):
            subprocess.run([seen], check=True)
        assert "@runs: 23\n" in witness.end()


def test_its_lines_are_read_while_it_watches(seen: Path) -> None:
    script = f'tracepoint:sched:sched_process_exec /comm == "{seen.name}"/ {{ printf("one\\n"); }}'
    with bpftrace(script) as witness:
        for _ in range(23):
            subprocess.run([seen], check=True)
        assert witness.read("one", 23).count("one") == 23


def test_a_block_that_fails_leaves_no_witness(started: list[subprocess.Popen[str]]) -> None:
    with pytest.raises(ZeroDivisionError), bpftrace("BEGIN { }"):
        (process,) = started
        assert process.poll() is None
        raise ZeroDivisionError
    assert process.returncode is not None


def test_a_script_that_it_refuses_is_told(started: list[subprocess.Popen[str]]) -> None:
    with pytest.raises(AssertionError, match="no_such_word"), bpftrace("BEGIN { no_such_word(1); }"):
        pytest.fail("the block ran")
    assert started[0].returncode is not None
