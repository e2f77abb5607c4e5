# SPDX-License-Identifier: Apache-2.0
"""The name of a process or of a folder is a name and nothing else: the kernel writes names into its lists."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tree import ROOT

from labkit.bpf.usdt import livecode
from labkit.lessons.your_program import target
from labkit.machine import proc

# not UTF-8, with what str.splitlines() takes for the end of a line, and what Python does when it reads text
NAMES = [b"\xff\x0bTgid:\t1", b"\xff\rTgid:\t1"]
_PR_SET_NAME = 15
MOUNTED = """
import os, subprocess, tempfile
from pathlib import Path
from labkit.machine.mounts import mount_of, mounts
folder = Path(os.fsdecode(tempfile.mkdtemp().encode() + b"/a\\xe2\\x80\\xa8b\\r \\xff"))
folder.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "labkit-test", folder], check=True)
assert folder in [mount.folder for mount in mounts()], list(mounts())
assert mount_of(folder).kind == "tmpfs"
"""


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_process_says_nothing_about_it(name: bytes) -> None:
    before = Path("/proc/self/comm").read_bytes()
    libc = ctypes.CDLL(None)
    assert libc.prctl(_PR_SET_NAME, name) == 0
    try:
        assert proc.stat_fields(Path("/proc/self"))[0] == "R"
        assert name in os.fsencode(proc.text(Path("/proc/self/status")))
        assert target._group(os.getpid()) == os.getpid()
        assert livecode.mappings(os.getpid())
    finally:
        libc.prctl(_PR_SET_NAME, before.strip())


def test_threads_are_of_their_process() -> None:
    assert target._group(threading.get_native_id()) == os.getpid()


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: run `sudo make test`")
def test_a_folder_of_any_name_is_found_among_the_mounts() -> None:
    command = ["unshare", "-m", sys.executable, "-c", MOUNTED]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert ran.returncode == 0, ran.stderr
