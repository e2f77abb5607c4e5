# SPDX-License-Identifier: Apache-2.0
"""The progress file in a folder where other users planted files: the lab does not follow them or wait for them."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from labkit.notebook.solved import remember, solved, trouble

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
STRANGER = 12345


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setenv("LABKIT_PROGRESS", str(folder / "progress.json"))
    return folder


@pytest.mark.parametrize("name", ["progress.json.lock", "progress.json.new", "progress.json"])
def test_a_link_is_not_followed(shared: Path, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (shared / name).symlink_to(victim)
    if name.endswith(".lock"):
        with pytest.raises(OSError, match="symbolic link"):
            remember("99-q1")
        assert "cannot be kept" in trouble()
    else:
        remember("99-q1")
        assert list(solved()) == ["99-q1"]
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["progress.json.lock", "progress.json"])
def test_a_pipe_is_not_waited_for(shared: Path, name: str) -> None:
    os.mkfifo(shared / name)
    thread = threading.Thread(target=lambda: (solved(), trouble()), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_a_lock_file_of_somebody_else_is_not_used(shared: Path) -> None:
    lock = shared / "progress.json.lock"
    lock.touch()
    os.chown(lock, STRANGER, STRANGER)
    with pytest.raises(OSError, match=f"belongs to user {STRANGER}"):
        remember("99-q1")
    assert f"belongs to user {STRANGER}" in trouble()


def test_nobody_else_can_open_the_lock(shared: Path) -> None:
    remember("99-q1")
    assert stat.S_IMODE((shared / "progress.json.lock").stat().st_mode) == 0o600


def test_only_the_two_files_are_left(shared: Path) -> None:
    remember("99-q1")
    remember("99-q2")
    assert {path.name for path in shared.iterdir()} == {"progress.json", "progress.json.lock"}
    assert list(json.loads((shared / "progress.json").read_text())["solved"]) == ["99-q1", "99-q2"]
