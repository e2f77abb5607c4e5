# SPDX-License-Identifier: Apache-2.0
"""A line that BCC left in uprobe_events is removed only if it is the lab's and its process is dead."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.machine import pidns
from labkit.running.sweep import sweep
from labkit.running.workload import build

pytestmark = pytest.mark.bpf
EVENTS = Path("/sys/kernel/tracing/uprobe_events")
DEAD = 4194304  # PID_MAX_LIMIT: no process has it


def write(line: str) -> None:
    descriptor = os.open(EVENTS, os.O_WRONLY | os.O_APPEND)  # open("a") would seek, and tracefs refuses that
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def planted(event: str, path: Path) -> Iterator[None]:
    write(f"p:uprobes/{event} {path}:0x1000")
    try:
        yield
    finally:
        if event in EVENTS.read_text():
            write(f"-:uprobes/{event}")


@pytest.fixture
def program() -> Path:
    if not EVENTS.exists():
        pytest.skip("this kernel has no uprobe_events")
    return build("hello")


def test_a_dead_labs_line_is_removed(program: Path) -> None:
    event = f"p_test_{os.getpid()}_0x1000_bcc_{DEAD}"
    with planted(event, program):
        assert event in EVENTS.read_text()
        assert event in {path.name for path in sweep()}
        assert event not in EVENTS.read_text()


@pytest.mark.parametrize("kind", ["its process lives", "another program's", "not BCC's", "in use"])
def test_any_other_line_stays(program: Path, kind: str) -> None:
    name = f"p_test_{os.getpid()}_0x1000"
    event = {"its process lives": f"{name}_bcc_{os.getpid()}", "not BCC's": name}.get(kind, f"{name}_bcc_{DEAD}")
    path = Path("/usr/bin/env") if kind == "another program's" else program
    with planted(event, path):
        switch = EVENTS.parent / "events/uprobes" / event / "enable"
        if kind == "in use":
            switch.write_text("1")
        try:
            sweep()
            assert event in EVENTS.read_text()
        finally:
            if kind == "in use":
                switch.write_text("0")


def test_in_a_container_with_its_own_process_ids_every_line_stays(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line names a process id without its namespace: there it may be that of a live lab in another container."""
    monkeypatch.setattr(pidns, "INITIAL_INODE", 1)
    event = f"p_test_{os.getpid()}_0x1000_bcc_{DEAD}"
    with planted(event, program):
        sweep()
        assert event in EVENTS.read_text()
