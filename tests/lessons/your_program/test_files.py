# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: an inherited descriptor has its file's name; a number that means something else has lost it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pandas as pd
import pytest

import labkit

pytestmark = [pytest.mark.bpf, pytest.mark.programs_kept]

# as a child writes, its parent has another file under the same number
AFTER_FORK = """
import os, sys
folder = sys.argv[1]
begin, go = os.pipe()
one = os.open(folder + "/one", os.O_WRONLY | os.O_CREAT)
child = os.fork()
if not child:
    os.read(begin, 1)
    os.write(one, b"x" * 23)
    os._exit(0)
os.close(one)
other = os.open(folder + "/other", os.O_WRONLY | os.O_CREAT)
assert other == one
os.write(other, b"y" * 97)
os.write(go, b"!")
os.waitpid(child, 0)
"""

# the number of a file goes to a pipe, and then to one end of a pair of sockets
CLOSED = """
import os, socket, sys
file = os.open(sys.argv[1] + "/file", os.O_RDWR | os.O_CREAT)
os.write(file, b"z" * 7)
os.closerange(file, file + 1)
ends = os.pipe()
assert file in ends
os.write(ends[1], b"p" * 13)
os.read(ends[0], 13)
os.closerange(ends[0], ends[1] + 1)
pair = socket.socketpair()
assert file == pair[0].fileno()
pair[0].send(b"q" * 17)
pair[1].recv(17)
"""

# close_range() with CLOSE_RANGE_CLOEXEC closes nothing before the next exec
CLOSED_LATER = """
import ctypes, os, sys
file = os.open(sys.argv[1] + "/file", os.O_WRONLY | os.O_CREAT)
assert ctypes.CDLL(None).syscall(436, file, ctypes.c_uint(-1), 4) == 0
os.write(file, b"l" * 19)
"""

# two files of one name, each opened below a descriptor of its folder; two whose names differ at the end of a long path
FOLDERS = """
import os, sys
for number, folder in enumerate(sys.argv[1:]):
    at = os.open(folder, os.O_DIRECTORY)
    file = os.open("same", os.O_WRONLY | os.O_CREAT, dir_fd=at)
    os.write(file, b"s" * (23 + number))
    os.close(file)
    os.close(at)
"""
LONG = """
import os, sys
for name in sys.argv[1:]:
    file = os.open(name, os.O_WRONLY | os.O_CREAT)
    os.write(file, b"n" * 23)
    os.close(file)
"""


def watched(words: list[str]) -> pd.DataFrame:
    return labkit.watch("files", command=words).set_index("path")


def test_a_file_that_short_lived_children_inherit_has_its_name(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = f"exec >{out}; n=0; while [ $n -lt 23 ]; do /bin/echo hello; n=$((n + 1)); done"
    files = watched(["sh", "-c", script])
    assert out.stat().st_size == 23 * 6
    assert (files["writes"][str(out)], files["written_bytes"][str(out)]) == (23, 23 * 6)
    assert not [name for name in files.index if name.startswith("file ")]


def test_what_a_parent_opens_after_the_fork_is_not_the_childs(tmp_path: Path) -> None:
    files = watched(["/usr/bin/python3", "-S", "-c", AFTER_FORK, str(tmp_path)])
    assert files["written_bytes"][f"{tmp_path}/one"] == 23
    assert files["written_bytes"][f"{tmp_path}/other"] == 97


def test_a_number_that_means_something_else_has_not_the_old_name(tmp_path: Path) -> None:
    files = watched(["/usr/bin/python3", "-S", "-c", CLOSED, str(tmp_path)])
    assert (files["written_bytes"][f"{tmp_path}/file"], files["read_bytes"][f"{tmp_path}/file"]) == (7, 0)
    assert files["written_bytes"].sum() == 7 + 13 + 17


def test_a_file_that_will_be_closed_at_the_next_exec_keeps_its_name(tmp_path: Path) -> None:
    if ctypes.CDLL(None).syscall(436, 1 << 20, 1 << 20, 4):
        pytest.skip("this kernel's close_range() does not know CLOSE_RANGE_CLOEXEC (Linux 5.11 and later do)")
    files = watched(["/usr/bin/python3", "-S", "-c", CLOSED_LATER, str(tmp_path)])
    assert files["written_bytes"][f"{tmp_path}/file"] == 19


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    files = watched(["/usr/bin/python3", "-S", "-c", FOLDERS, *map(str, folders)])
    assert [files["written_bytes"][f"{folder}/same"] for folder in folders] == [23, 24]


def test_a_name_that_is_cut_says_so_and_one_that_cannot_be_printed_is_escaped(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 200)
    deep.mkdir()
    odd = os.fsdecode(bytes(tmp_path) + b"/a\nb \xff")
    files = watched(["/usr/bin/python3", "-S", "-c", LONG, f"{deep}/one", f"{deep}/two", odd])
    (cut,) = [name for name in files.index if name.endswith("…")]
    assert str(deep).startswith(cut[:-1]) and files["written_bytes"][cut] == 2 * 23
    assert files["written_bytes"][f"{tmp_path}/a\\nb \\xff"] == 23
