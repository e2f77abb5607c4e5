"""Data files: whole, on the disk, and refused when there is no room for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labkit.errors import LabkitError
from labkit.running import files


@pytest.mark.parametrize("size", [1, 4096, (1 << 20) + 1])
def test_a_random_file_has_its_size_and_no_pattern(tmp_path: Path, size: int) -> None:
    made = files.random_file(tmp_path / "blocks", size).read_bytes()
    assert len(made) == size
    assert size < 4096 or len(set(made)) == 256


def test_without_room_it_says_how_much_there_is(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    with pytest.raises(LabkitError, match=r"no room for a file of \d+ MiB: \d+ MiB are free"):
        files.random_file(tmp_path / "blocks", free.f_bavail * free.f_frsize)
    assert list(tmp_path.iterdir()) == []


def test_proc_and_shared_memory_are_told_from_a_disk() -> None:
    assert files.in_memory(Path("/dev/shm"))
    assert not files.in_memory(Path(__file__))
