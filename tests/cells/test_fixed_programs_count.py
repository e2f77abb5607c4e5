# SPDX-License-Identifier: Apache-2.0
"""A refused program with the lab's fix, applied as it is written, counts what the workload did."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from answers import answer
from test_cells import ALL, habits

from labkit.bpf.cell import Cell

_READ, _SMALL, _LARGE = 100, 5003, 70001


def _fixed(name: str, folder: Path) -> Path:
    """Return the file of a cell of the table, with the change that its answer shows as verified."""
    cell = next(text for expected, text in habits() if expected.name == name)
    told, lines = answer(cell, folder), cell.splitlines()
    change = re.findall(r"^\+ *(\d+) \| (.*)$", told.text, re.MULTILINE)
    assert not told.accepted and change, told.text
    for number, text in change:
        lines[int(number) - 1] = text
    path = folder / "fixed.c"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _reads(folder: Path, *bytes_of: int) -> None:
    path = folder / "data"
    path.write_bytes(b"x" * _LARGE)
    file = os.open(path, os.O_RDONLY)
    for size in bytes_of:
        os.lseek(file, 0, os.SEEK_SET)
        assert len(os.read(file, size)) == size
    os.close(file)


def _large_reads(folder: Path) -> None:
    _reads(folder, *[_SMALL] * 23, *[_LARGE] * 7)


def _closes(folder: Path) -> None:
    for _ in range(23):
        os.close(os.dup2(0, 977))


def _vectors(folder: Path) -> None:
    file = os.open(folder / "written", os.O_WRONLY | os.O_CREAT)
    os.writev(file, [b"x" * 11, b"y" * 13, b"z" * 17])
    os.close(file)


def _failing_opens(folder: Path) -> None:
    for _ in range(23):
        with pytest.raises(FileNotFoundError):
            os.open(folder / "missing", os.O_RDONLY)
    _reads(folder, _READ)


def _entry(cell: Cell, name: str, **key: int) -> dict[str, int]:
    rows = cell.map(name)
    for column, value in key.items():
        rows = rows[rows[column] == value]
    return dict(rows.iloc[0]) if len(rows) else {}


_CASES: dict[str, tuple[Callable[[Path], None], Callable[[Cell], object], object]] = {
    "nested-no-check": (_large_reads, lambda cell: _entry(cell, "big", key=os.getpid())["value"], 23 + 2 * 7),
    "struct-into-u64-key": (_closes, lambda cell: _entry(cell, "conns", pid=os.getpid(), fd=977)["value"], 23),
    "union-of-pointers": (_vectors, lambda cell: _entry(cell, "sizes", key=os.getpid())["value"], 11 + 13 + 17),
    "struct-by-value-helper": (
        lambda folder: _reads(folder, *[_READ] * 23),
        lambda cell: [_entry(cell, "stats", key=os.getpid())[name] for name in ("calls", "bytes")],
        [23, 23 * _READ],
    ),
    "submit-in-one-branch": (_large_reads, lambda cell: (cell.events("evs")["n"] == _SMALL).sum(), 23),
    "discard-and-go-on": (
        _failing_opens,
        lambda cell: [row.ret for row in cell.events("calls").itertuples() if row.pid == os.getpid()],
        [-2] * 23,
    ),
}
_FIRST = 1  # of them run always


@pytest.mark.bpf
@pytest.mark.parametrize("name", list(_CASES) if os.environ.get(ALL) else list(_CASES)[:_FIRST])
def test_a_fixed_program_counts_what_the_workload_did(name: str, tmp_path: Path) -> None:
    workload, counted, truth = _CASES[name]
    with Cell(_fixed(name, tmp_path)) as cell:
        cell.attach()
        if name == "struct-by-value-helper":
            cell.set("stats", os.getpid(), {"calls": 0, "bytes": 0})
        workload(tmp_path)
        cell.detach()
        assert counted(cell) == truth
