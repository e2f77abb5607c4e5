# SPDX-License-Identifier: Apache-2.0
"""The hidden workload of the exercises: it makes the calls of its script and no others, and reports each of them."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Build = Callable[..., Any]


def acts(build: Build, script: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = build("script").run("--script", script).result["acts"]
    return found


def test_it_reports_what_each_actor_did(build: Build) -> None:
    main, failed, thread, child = acts(build, "main: pwrite 23 512, badread 5; thread: getppid 7; child: short 3 100")
    assert (main["done"], main["failed"], main["bytes"]) == (23, 0, 23 * 512)
    assert (failed["done"], failed["failed"], failed["bytes"]) == (5, 5, 0)
    assert (child["done"], child["bytes"]) == (3, 300)
    assert main["pid"] == main["tid"] == thread["pid"] != thread["tid"]
    assert child["pid"] not in (main["pid"], 0)


def test_messages_of_0_bytes_arrive_and_fail_not(build: Build) -> None:
    empty, refused, late = acts(build, "main: receive 11 0, refused 7, late 2 1000")
    assert (empty["done"], empty["failed"], empty["bytes"]) == (11, 0, 0)
    assert (refused["done"], refused["failed"]) == (7, 7)
    assert (late["done"], late["failed"], late["bytes"]) == (2, 0, 2)
    assert late["elapsed_ns"] >= 2 * 1_000_000


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_strace_counts_the_same_calls(build: Build, tmp_path: Path) -> None:
    script = "main: pwrite 23 512, badread 5, receive 11 10; thread: pwrite 7 1; child: pread 3 10"
    kept = tmp_path / "calls"
    calls = "trace=pwrite64,pread64,recvfrom"
    done = build("script").run("--script", script, under=("strace", "-f", "-e", calls, "-o", str(kept)))
    assert done.status == 0
    lines = re.findall(r"(?:^|\s)(pwrite64|pread64|recvfrom)\(", kept.read_text(), re.MULTILINE)
    loader = sum("ELF" in line for line in kept.read_text().splitlines())  # ld.so reads libraries by pread64
    assert Counter(lines) - Counter({"pread64": loader}) >= Counter(pwrite64=30, pread64=8, recvfrom=11)
    assert Counter(lines)["pwrite64"] == 30 and Counter(lines)["recvfrom"] == 11


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("", "ready"),
        ("main", 'actor "main" has no acts'),
        ("nobody: getppid 3", 'no actor "nobody"'),
        ("main: dance 3", 'no act "dance"'),
        ("main: getppid many", 'cannot take "many"'),
        ("main: getppid -3", 'cannot take "-3"'),
        ("main: getppid 1 2 3 4 5", 'cannot take "5"'),
        ("main: pwrite 3 9999999", "pwrite of 9999999 bytes"),
        ("main: reply 3 500 200 1", "path of 500 letters"),
        ("main: ,", "empty act"),
    ],
)
def test_a_script_that_it_cannot_read_has_two_lines(build: Build, script: str, said: str) -> None:
    done = build("script").run("--script", script)
    if said == "ready":  # nothing to do is no error
        assert done.status == 0
        return
    if "without sys/sdt.h" in done.stderr:
        pytest.skip("no sys/sdt.h")
    assert done.status == 1 and said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2


def test_it_does_nothing_undefined(build: Build) -> None:
    script = (
        "main: run 2 7, miss 2 3, fork 2 9, killed 2 9, pwrite 3 0, short 3 0, badread 3, nap 2 10, fall 2 9 0; "
        "thread: receive 3 0, refused 3, late 1 100; child: pread 3 4096; thread: fall 1 20 0"
    )
    done = build("script", san=True).run("--script", script)
    assert (done.status, done.stderr) == (0, "")
