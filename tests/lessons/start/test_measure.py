# SPDX-License-Identifier: Apache-2.0
"""Lesson 00: each read of this process is seen, with the bytes that it returned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.errors import BadArgument, LabkitError, Stopped
from labkit.lessons import start
from labkit.running import lock

pytestmark = pytest.mark.bpf


def test_every_read_is_seen_with_what_it_returned() -> None:
    frame = start.measure(block_bytes=4096, blocks=97)
    assert frame["bytes"].tolist() == [4096] * 97
    assert frame.attrs["lost_events"] == 0


def test_what_the_lab_reads_while_it_reports_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine the lock's note is written again within the loop: that reads two files of /proc."""
    monkeypatch.setattr(lock, "NOTE_EVERY_S", 0.0)
    assert start.measure(block_bytes=4096, blocks=97)["bytes"].tolist() == [4096] * 97


def test_a_read_ends_before_the_next_begins() -> None:
    frame = start.measure(block_bytes=65536, blocks=29)
    ends = frame["time_ns"] + frame["latency_ns"]
    assert (ends.iloc[:-1].to_numpy() <= frame["time_ns"].iloc[1:].to_numpy()).all()


def test_stop_while_a_large_file_is_written_leaves_none(data_folder: Path) -> None:
    shares: list[float] = []

    def stop(share: float, note: str) -> None:
        if note == "writing a file":
            shares.append(share)
        if len(shares) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        start.measure(4 << 20, 100, progress=stop)
    assert 0 == shares[0] < shares[1] < 0.5
    assert list(data_folder.rglob("file")) == []


def test_the_file_is_gone_afterwards(data_folder: Path) -> None:
    start.measure(block_bytes=1, blocks=1)
    assert [path.name for path in data_folder.iterdir()] in ([], ["lock"])  # the measurement lock of the tests


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"block_bytes": 0}, "block_bytes=0"),
        ({"block_bytes": -4096}, "block_bytes=-4096"),
        ({"block_bytes": 1 << 30}, "1 to 4194304 bytes"),
        ({"block_bytes": "4k"}, "block_bytes='4k'"),
        ({"blocks": 0}, "blocks=0"),
        ({"blocks": 10_001}, "1 to 10000 reads"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(BadArgument, match=told):
        start.measure(**arguments)  # type: ignore[arg-type]


def test_a_full_disk_is_said_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        f_blocks, f_bfree, f_bavail, f_frsize = 1, 1, 1, 4096

    monkeypatch.setattr(os, "statvfs", lambda path: Full)
    with pytest.raises(LabkitError, match="no room"):
        start.measure()


def test_the_first_measurement_of_a_process_counts_no_read_of_its_own() -> None:
    """The lab's own bookkeeping reads files, too, the first time: not while the process is watched."""
    code = "from labkit.lessons import start; print(len(start.measure(4096, 23)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["23"]
