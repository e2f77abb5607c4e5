# SPDX-License-Identifier: Apache-2.0
"""Data files: whole, on the disk, and refused when there is no room for them."""

from __future__ import annotations

import mmap
import os
import subprocess
from pathlib import Path

import pytest

from labkit.errors import LabkitError, Missing
from labkit.running import files


@pytest.mark.parametrize("size", [1, 4096, (1 << 20) + 1])
def test_a_random_file_has_its_size_and_no_pattern(tmp_path: Path, size: int) -> None:
    made = files.random_file(tmp_path / "blocks", size).read_bytes()
    assert len(made) == size
    assert size < 4096 or len(set(made)) == 256


def test_without_room_it_says_how_much_there_is(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    with pytest.raises(LabkitError, match=r"no room for a file of .*iB: .*iB should be free, .*iB are"):
        files.random_file(tmp_path / "blocks", free.f_bavail * free.f_frsize)
    assert list(tmp_path.iterdir()) == []


def test_proc_and_shared_memory_are_told_from_a_disk() -> None:
    assert files.in_memory(Path("/dev/shm"))
    assert not files.in_memory(Path(__file__))


def test_a_file_leaves_the_page_cache_as_fincore_sees_it(data_folder: Path) -> None:
    with (data_folder / "blocks").open("w+b") as file:
        files.random_file(Path(file.name), 23 * 4096)
        file.read()
        assert files.cached_bytes(file.fileno()) == 23 * 4096 == fincore(Path(file.name))
        files.leave_cache(file.fileno())
        assert files.cached_bytes(file.fileno()) == 0 == fincore(Path(file.name))


def fincore(path: Path) -> int:
    """Return what util-linux's fincore(1) counts."""
    command = ["fincore", "--bytes", "--noheadings", "--output", "RES", str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_file_in_memory_cannot_be_cold(tmp_path: Path) -> None:
    path = Path("/dev/shm") / f"labkit-test-{os.getpid()}"
    try:
        path.write_bytes(bytes(8192))
        with path.open("rb") as file, pytest.raises(Missing, match="8 KiB of a file stay in the page cache"):
            files.leave_cache(file.fileno())
    finally:
        path.unlink()


def test_pages_that_somebody_else_maps_are_noticed(data_folder: Path) -> None:
    path = files.random_file(data_folder / "blocks", 4 * 4096)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[:] == path.read_bytes()
        with pytest.raises(Missing, match="stay in the page cache"):
            files.leave_cache(file.fileno())


def test_an_empty_file_is_cold(tmp_path: Path) -> None:
    with (tmp_path / "empty").open("w+b") as file:
        files.leave_cache(file.fileno())


def test_where_the_advice_is_refused_the_call_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    with (tmp_path / "file").open("w+b") as file, pytest.raises(Missing, match=r"posix_fadvise\(2\)"):
        files.leave_cache(file.fileno())
