# SPDX-License-Identifier: Apache-2.0
"""docs/does-this-help-me.md: its worked case counts a stranger's reads, and fio knows each of its commands."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tree import ROOT

from labkit.bpf.program import Program

PAGE = (ROOT / "docs" / "does-this-help-me.md").read_text(encoding="utf-8")
FIO = re.findall(r"^\| [^|]+ \| `(--rw=[^`]+)` \|$", PAGE, re.MULTILINE)


@pytest.mark.bpf
def test_the_worked_case_counts_each_read_of_a_process_that_is_not_the_labs(tmp_path: Path) -> None:
    code = re.search(r"```c\n%%bpf sizes\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    source = tmp_path / "sizes.c"
    source.write_text(code[1], encoding="utf-8")
    command = "read line; exec dd if=/dev/zero of=/dev/null bs=4k count=997"
    with subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        with Program(source=source) as sizes:
            sizes.attach()
            sizes.aim(pid=process.pid)
            process.communicate(b"\n")
            assert sizes.hash("reads")[13] == 997  # 4096 to 8191 bytes


def test_there_is_a_command_for_each_kind_of_measurement() -> None:
    assert len(FIO) == 13


@pytest.mark.skipif(shutil.which("fio") is None, reason="fio is not installed")
@pytest.mark.parametrize("options", FIO)
def test_fio_knows_the_options(options: str, tmp_path: Path) -> None:
    command = ["fio", "--parse-only", "--name=job", f"--filename={tmp_path}/file", "--size=1M", *options.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
