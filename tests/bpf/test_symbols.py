# SPDX-License-Identifier: Apache-2.0
"""A function of a program has its own name, or none: never the name of a function in another file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from labkit.bpf.stacks import Symbols

pytestmark = pytest.mark.bpf
SOURCE = """
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline)) int NAME(int n) { __asm__ volatile(""); return n + 1; }
int main(void) { puts("ready"); fflush(stdout); pause(); return NAME(1); }
"""
ODD_NAMES = [b"a b  c ", b"a'b\"c`$;|", "ä€😀".encode(), b"a\xff\xfeb", b"n" * 255, b"a\tb\r", b"prog (deleted)"]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, int]:
    """Return a program, one with another function in the same place, and where that is in their files."""
    folder = tmp_path_factory.mktemp("programs")
    places = []
    for name in ("apple", "wrong"):
        command = ["cc", "-O1", "-x", "c", "-", "-o", str(folder / name)]
        subprocess.run(command, input=SOURCE.replace("NAME", name), text=True, check=True)
        table = subprocess.run(["nm", str(folder / name)], capture_output=True, text=True, check=True).stdout
        (place,) = re.findall(rf"^([0-9a-f]+) T {name}$", table, re.MULTILINE)
        places.append(int(place, 16))
    assert places[0] == places[1]
    return folder / "apple", folder / "wrong", places[0]


@contextmanager
def running(command: Sequence[str | bytes]) -> Iterator[int]:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.kill()


def name_at(pid: int, place: int) -> str:
    """Return the lab's name of what is at a place of the program's file, whose first mapping in memory is the file."""
    base = int(Path(f"/proc/{pid}/maps").read_bytes().split(b"-")[0], 16)
    symbols = Symbols(pid)
    try:
        return symbols.user(base + place)
    finally:
        symbols.close()


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: ascii(name)[:20])
def test_a_program_with_an_odd_name_has_its_functions(
    name: bytes, programs: tuple[Path, Path, int], tmp_path: Path
) -> None:
    path = bytes(tmp_path) + b"/" + name
    shutil.copy(programs[0], path)
    with running([path]) as pid:
        assert name_at(pid, programs[2]) == "apple"


def test_where_a_newline_is_in_its_name_another_file_is_not_read(
    programs: tuple[Path, Path, int], tmp_path: Path
) -> None:
    shutil.copy(programs[0], tmp_path / "a\nb")
    with running([str(tmp_path / "a\nb")]) as pid:
        assert name_at(pid, programs[2]) == r"[a\012b (not readable)]"
        shutil.copy(programs[1], tmp_path / r"a\012b")
        assert name_at(pid, programs[2]) == r"[a\012b (not readable)]"


def test_a_file_called_as_the_kernel_calls_a_deleted_one_is_not_read(
    programs: tuple[Path, Path, int], tmp_path: Path
) -> None:
    shutil.copy(programs[0], tmp_path / "prog")
    shutil.copy(programs[1], tmp_path / "prog (deleted)")
    with running([str(tmp_path / "prog")]) as pid:
        os.unlink(tmp_path / "prog")
        assert name_at(pid, programs[2]) == "[prog (deleted)]"


def test_a_file_that_was_mounted_over_the_program_is_not_read(programs: tuple[Path, Path, int], tmp_path: Path) -> None:
    right, wrong, place = programs
    shutil.copy(right, tmp_path / "prog")
    script = f"exec 3<{tmp_path}/prog; mount --bind {wrong} {tmp_path}/prog; exec /proc/self/fd/3"
    with running(["unshare", "--mount", "sh", "-ec", script]) as pid:
        assert name_at(pid, place) == "[prog (not readable)]"


def test_a_program_in_another_mount_namespace_has_its_functions(
    programs: tuple[Path, Path, int], tmp_path: Path
) -> None:
    right, wrong, place = programs
    shutil.copy(wrong, tmp_path / "prog")
    script = f"mount --bind {right} {tmp_path}/prog; exec {tmp_path}/prog"
    with running(["unshare", "--mount", "sh", "-ec", script]) as pid:
        assert name_at(pid, place) == "apple"
