# SPDX-License-Identifier: Apache-2.0
"""The lab and bpftool report the same about a loaded program."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from labkit.bpf import disassemble, proginfo
from labkit.bpf.program import Program

pytestmark = pytest.mark.bpf


@pytest.fixture
def loaded() -> int:  # type: ignore[misc]
    with Program("hello_print") as program:
        yield program.load()["tracepoint__sched__sched_process_exec"]


def bpftool(*arguments: object) -> Any:
    told = subprocess.run(["bpftool", "-j", *map(str, arguments)], capture_output=True, text=True, check=True)
    return json.loads(told.stdout or "null")


def test_id_and_maps_are_those_of_bpftool(loaded: int) -> None:
    facts = proginfo.facts(loaded)
    told = bpftool("prog", "show", "id", facts.id)
    assert sorted(told["map_ids"]) == sorted(facts.map_ids)
    assert told["bytes_xlated"] == len(facts.bytecode)
    assert told.get("bytes_jited", 0) == len(facts.machine_code)


def test_the_bytecode_is_that_of_bpftool(loaded: int, tmp_path: Path) -> None:
    facts = proginfo.facts(loaded)
    bpftool("prog", "dump", "xlated", "id", facts.id, "file", tmp_path / "code")
    assert (tmp_path / "code").read_bytes() == facts.bytecode


def test_the_disassembly_covers_the_code(loaded: int) -> None:
    code = proginfo.facts(loaded).machine_code
    lines = disassemble.machine_code(code)
    assert bool(lines) == bool(code)
    offsets = [int(line.split(":")[0], 16) for line in lines]
    assert offsets == sorted(set(offsets))
    assert all(0 <= offset < len(code) for offset in offsets)


def test_no_code_has_no_disassembly() -> None:
    assert disassemble.machine_code(b"") == []
