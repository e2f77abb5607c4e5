# SPDX-License-Identifier: Apache-2.0
"""Lesson 10: watch the system calls of one process with c/bpf/capstone.c, by name and by kind of file."""

from __future__ import annotations

import contextlib
import ctypes as ct
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labkit.bpf.program import Program
from labkit.bpf.syscalls import call_names
from labkit.stats.histogram import BUCKETS, Counts, p99, quantile

__all__ = [
    "NO_FILE",
    "SYNCS",
    "WRITES",
    "CallSums",
    "Calls",
    "call_names",
    "call_rows",
    "file_of",
    "name_of",
    "open_files",
    "read_calls",
    "watching",
]

SYNCS = ("fsync", "fdatasync")
WRITES = ("write", "pwrite64", "writev")  # whose bytes c/bpf/capstone.c adds up
NO_FILE = "–"  # of a call that has none, or none that the lesson distinguishes

Kinds = Mapping[str, str]  # the last four letters of a file's name -> what the lesson calls such a file


@dataclass
class CallSums:
    """One kind of call on one kind of file: how many, their total time, a histogram of it, the bytes they wrote."""

    count: int = 0
    total_ns: int = 0
    written_bytes: int = 0
    counts: Counts = field(default_factory=lambda: np.zeros(BUCKETS, dtype=np.int64))


Calls = dict[tuple[str, str], CallSums]  # (call, kind of file)


@contextlib.contextmanager
def watching(program: Program, pid: int, kinds: Kinds) -> Iterator[None]:
    """Watch the calls of a process during a block, from an empty table."""
    program.clear("begun", "kinds", "sums", "bars", "labkit_lost")
    _name_files(program, pid, kinds)
    with program.watching(pid):
        yield


def open_files(pid: int) -> dict[int, str]:
    """Return the names of a process's open files by number (/proc/PID/fd, proc_pid_fd(5))."""
    names = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile: the process goes on while we look
            names[int(link.name)] = os.readlink(link)
    return names


def read_calls(program: Program, kinds: Kinds) -> Calls:
    """Return what the program has counted."""
    found: dict[int, CallSums] = {}
    for key, sums in program.hash("sums").items():
        found[key] = CallSums(sums["count"], sums["total_ns"], sums["written_bytes"])
    for key, count in program.hash("bars").items():
        found[key >> 32].counts[key & 0xFFFFFFFF] += count
    return {(name_of(key >> 8), file_of(key & 0xFF, kinds)): call for key, call in found.items()}


def call_rows(calls: Calls, unit: str, units: int) -> list[dict[str, Any]]:
    """Return one row per kind of call, the longest total time first; a `unit` is a "transaction" or a "request"."""
    ordered = sorted(calls.items(), key=lambda each: -each[1].total_ns)
    return [
        {
            "call": call,
            "file": file,
            "count": each.count,
            f"calls_per_{unit}": each.count / units,
            "total_ns": each.total_ns,
            f"ns_per_{unit}": each.total_ns / units,
            "mean_ns": each.total_ns / each.count,
            "p50_ns": float(quantile(each.counts, 0.5)),
            "p99_ns": p99(each.counts),
            "written_bytes": each.written_bytes if call in WRITES else None,
        }
        for (call, file), each in ordered
    ]


def name_of(number: int) -> str:
    """Return a system call's name; one that is newer than the headers has only its number."""
    return call_names().get(number, f"call {number}")


def file_of(number: int, kinds: Kinds) -> str:
    """Return what the lesson calls a kind of file, from its number in the kernel; 0 is none."""
    return _numbered(kinds).get(number, NO_FILE)


def _name_files(program: Program, pid: int, kinds: Kinds) -> None:
    """Put in the program's maps what the files of a process are: those open now, and those that it will open."""
    numbers = {kind: number for number, kind in _numbered(kinds).items()}
    endings, open_now = program.table("endings"), program.table("kinds")
    for ending, kind in kinds.items():
        endings[ct.c_uint32(_word(ending))] = ct.c_uint32(numbers[kind])
    for number, name in open_files(pid).items():
        if name[-4:] in kinds:
            open_now[ct.c_uint32(number)] = ct.c_uint32(numbers[kinds[name[-4:]]])


def _numbered(kinds: Kinds) -> dict[int, str]:
    return dict(enumerate(dict.fromkeys(kinds.values()), start=1))


def _word(ending: str) -> int:
    """Return four letters as the number that they are in memory: what the program in the kernel reads."""
    return int(np.frombuffer(ending.encode(), dtype=np.uint32)[0])
