# SPDX-License-Identifier: Apache-2.0
"""What a test must not leave behind: programs, maps, links, processes, cgroups and files of the lab.

The witnesses are not the lab's: bpftool for the kernel's objects, /proc for their holders and for processes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from labkit.machine.pidns import own_pid_namespace

MARK = "LABKIT_TEST_MARK"  # in the environment of every process that a test starts, however deep
_FREEING_S = 5.0  # the kernel frees programs, maps and cgroups after a grace period, not at close()


def snapshot(mark: str, data: Path, *, loaded: bool = True) -> set[str]:
    """Return what exists now, one line each; two snapshots are compared.

    loaded : False: without programs and maps, but with what this process has attached.
    """
    return {*(_bpf_objects() if loaded else _attached()), *_processes(mark), *_cgroups(), *_files(data)}


def left_behind(before: set[str], mark: str, data: Path, *, loaded: bool = True) -> list[str]:
    """Return what has come since `before` and stays, waiting as long as the kernel may take to free it."""
    deadline = time.monotonic() + _FREEING_S
    while True:
        new = snapshot(mark, data, loaded=loaded) - before
        if new:
            new -= _of_others(new)
        if not new or time.monotonic() > deadline:
            return sorted(new)
        time.sleep(0.02)


def still_held() -> list[str]:
    """Return the programs and maps that this process holds, waiting as long as the kernel may take to free them."""
    deadline = time.monotonic() + _FREEING_S
    while True:
        files = Path("/proc/self/fdinfo").glob("*")
        held = {line for path in files for line in re.findall(r"^((?:prog|map)_id:\s+\d+)$", _read(path), re.MULTILINE)}
        if not held or time.monotonic() > deadline:
            return sorted(held)
        time.sleep(0.02)


def _bpf_objects(*kinds: str) -> Iterator[str]:
    for kind in kinds or ("prog", "map", "link"):
        listed = subprocess.run(["bpftool", "-j", kind, "list"], capture_output=True, text=True, check=False)
        for entry in json.loads(listed.stdout or "[]") if listed.returncode == 0 else []:
            name = entry.get("name", "") or entry.get("type", "")
            yield f"{kind} {entry['id']} ({name})"


def _attached() -> Iterator[str]:
    """Yield the links, and this process's perf events with a program: tracepoints, kprobes, uprobes, timers."""
    yield from _bpf_objects("link")
    listed = subprocess.run(["bpftool", "perf", "list"], capture_output=True, text=True, check=False).stdout
    yield from (f"attached {line}" for line in listed.splitlines() if line.startswith(f"pid {os.getpid()} "))


def _processes(mark: str) -> Iterator[str]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) != os.getpid() and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                yield f"process {folder.name} ({command})"
        except OSError:  # it has just ended, or is not ours to read
            continue


def _cgroups() -> Iterator[str]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup2":
            for parent, names, _ in os.walk(folder):  # which, unlike rglob, minds no cgroup that is removed meanwhile
                yield from (f"cgroup {parent}/{name}" for name in names if name.startswith("labkit-"))


def _files(data: Path) -> Iterator[str]:
    yield from (f"file {path}" for path in data.rglob("labkit-*"))


def _of_others(new: set[str]) -> set[str]:
    """Return those of `new` that some process outside this test run holds: another lab on this machine."""
    holders: dict[str, set[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        for path in _entries(folder / "fdinfo"):
            for kind, number in re.findall(r"^(prog|map|link)_id:\s+(\d+)$", _read(path), re.MULTILINE):
                holders.setdefault(f"{kind} {number} ", set()).add(int(folder.name))
    others = set()
    for line in new:
        kind, name, *_ = line.split()
        if kind == "cgroup":
            pids = _read_pids(Path(name) / "cgroup.procs")
        else:
            pids = holders.get(f"{kind} {name} ", set())
        # In a container another lab's process is out of sight; then what no visible process holds is not told apart
        # from what it holds. A cgroup of ours, with all that is attached to it, is seen in any case.
        unseen = not pids and kind in ("prog", "map", "link") and not own_pid_namespace().is_initial
        if unseen or (pids and os.getpid() not in pids):
            others.add(line)
    return others


def _read_pids(path: Path) -> set[int]:
    return {int(pid) for pid in _read(path).split()}


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # the process has just ended
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has just gone
        return ""
