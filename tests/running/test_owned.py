# SPDX-License-Identifier: Apache-2.0
"""A folder of the lab is its own while its maker lives; what a killed maker left is found and removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from labkit.errors import LabkitError
from labkit.running.owned import MARKER, left_behind, remove, run_folder
from labkit.running.sweep import sweep

HOLDER = textwrap.dedent(
    """
    import sys
    from labkit.running.owned import run_folder
    with run_folder() as folder:
        (folder / "part").write_text("half")
        print(folder, flush=True)
        sys.stdin.read()
    """
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own."""
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    return tmp_path


def test_the_folder_is_gone_afterwards(data: Path) -> None:
    with run_folder() as folder:
        (folder / "file").write_text("x")
        assert folder.name.startswith("labkit-")
    assert list(data.iterdir()) == []


def test_the_folder_is_gone_after_an_error(data: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_folder():
        raise ZeroDivisionError
    assert list(data.iterdir()) == []


def test_a_folder_in_use_is_not_swept(data: Path) -> None:
    with run_folder():
        assert left_behind(data) == []


def test_what_a_killed_process_left_is_swept() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        assert folder.is_dir()
        assert folder not in sweep()
        holder.send_signal(signal.SIGKILL)
    assert folder in sweep()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("name", "marked"),
    [
        ("labkit-fresh", False),
        ("labkit-notes", True),
        ("labkit-cells-abcd1234", True),
        ("labkit-abcd1234.service", True),
        ("labkit-abcd1234", False),
        (".labkit-new-abcd123", True),
    ],
)
def test_what_only_resembles_a_run_folder_is_not_swept(tmp_path: Path, name: str, marked: bool) -> None:
    folder = tmp_path / name
    folder.mkdir()
    if marked:
        (folder / MARKER).touch()
    os.utime(folder, (0, 0))
    assert left_behind(tmp_path) == []


def test_a_folder_that_was_being_made_long_ago_is_swept_unless_something_is_in_it(tmp_path: Path) -> None:
    made, used = tmp_path / ".labkit-new-abcd1234", tmp_path / ".labkit-new-efgh5678"
    made.mkdir()
    used.mkdir()
    (used / "thesis").touch()
    os.utime(made, (0, 0))
    os.utime(used, (0, 0))
    assert left_behind(tmp_path) == [made]


def test_a_folder_that_is_being_made_is_not_swept(tmp_path: Path) -> None:
    (tmp_path / ".labkit-new-abcd1234").mkdir()
    assert left_behind(tmp_path) == []


def test_a_folder_that_vanishes_while_it_is_looked_at_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".labkit-new-abcd1234"
    folder.mkdir()
    plain = time.time

    def vanishing() -> float:
        folder.rmdir()
        return plain()

    monkeypatch.setattr(time, "time", vanishing)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("moment", ["open", "flock"])
def test_a_folder_that_is_swept_while_it_is_made_is_made_again(
    data: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    module = os if moment == "open" else fcntl
    plain = getattr(module, moment)

    def swept(*arguments: object, **options: object) -> object:
        monkeypatch.setattr(module, moment, plain)
        for folder in data.iterdir():
            folder.rmdir()
        return plain(*arguments, **options)

    monkeypatch.setattr(module, moment, swept)
    with run_folder() as folder:
        assert folder.is_dir()
    assert list(data.iterdir()) == []


def test_a_removal_that_is_cut_short_is_taken_up_by_the_next_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "labkit-abcd1234"
    (folder / "inner").mkdir(parents=True)
    (folder / MARKER).touch()
    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
        cut.setattr(shutil, "rmtree", lambda _: signal.raise_signal(signal.SIGINT))
        remove(folder)
    assert left_behind(tmp_path) == [folder]


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_DATA", "/proc/self")
    with pytest.raises(LabkitError, match="LABKIT_DATA"), run_folder():
        pass
