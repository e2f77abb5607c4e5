"""A folder of the lab is its own while its maker lives; what a killed maker left is found and removed."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from labkit.engine.owned import left_behind, owned_folder, run_folder
from labkit.engine.sweep import sweep
from labkit.errors import LabkitError

HOLDER = textwrap.dedent(
    """
    import sys
    from labkit.engine.owned import run_folder
    with run_folder() as folder:
        (folder / "part").write_text("half")
        print(folder, flush=True)
        sys.stdin.read()
    """
)


def test_the_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with owned_folder(tmp_path) as folder:
        (folder / "file").write_text("x")
        assert folder.name.startswith("labkit-")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_gone_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), owned_folder(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_not_swept(tmp_path: Path) -> None:
    with owned_folder(tmp_path):
        assert left_behind(tmp_path) == []


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


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_DATA", "/proc/self")
    with pytest.raises(LabkitError, match="LABKIT_DATA"), run_folder():
        pass
