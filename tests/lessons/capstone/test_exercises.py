# SPDX-License-Identifier: Apache-2.0
"""Lesson 10's exercises: what a learner's tool counts is the answer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from labkit.bpf.program import Program
from labkit.lessons import capstone
from labkit.lessons.capstone import calls, exercises
from labkit.running import truths

bpf = pytest.mark.bpf
SMALL: dict[str, Any] = {"transactions": 23, "slices": 2}


TOOL = """
#include "labkit.h"
BPF_HASH(found, u32, u64);
TRACEPOINT_PROBE(syscalls, sys_enter_CALL)
{
	u32 pid = labkit_pid();
	u64 zero = 0, *sum = found.lookup_or_try_init(&pid, &zero);

	if (sum && labkit_is_target())
		__sync_fetch_and_add(sum, ADD);
	return 0;
}
"""


def tool(tmp_path: Path, call: str, add: str) -> Program:
    """A learner's program that sums something up for each process."""
    path = tmp_path / "found.c"
    path.write_text(TOOL.replace("CALL", call).replace("ADD", add))
    return Program(source=path)


def sync_name() -> str:
    frame = capstone.witnesses(transactions=2) if shutil.which("strace") else capstone.measure(**SMALL)
    return next(call for call in frame["call"] if call in calls.SYNCS)


@bpf
def test_the_journal_that_is_asked_for_is_neither_unlinked_nor_cut() -> None:
    frame = exercises.which_journal()
    wide = frame.pivot(index="arm", columns="call", values="count").fillna(0)
    unlinks = wide.get("unlink", 0) + wide.get("unlinkat", 0)
    syncs = wide[[call for call in calls.SYNCS if call in wide]].sum(axis=1)
    quiet = wide[(unlinks < 46) & (wide["ftruncate"] < 46) & (syncs > 3 * 46)]
    assert quiet.index.tolist() == [truths.expected("10-q1")]
    assert "file" not in frame and not {"baseline", "command"} & set(frame.attrs)


@bpf
def test_syncs_tell_the_transactions(tmp_path: Path) -> None:
    with tool(tmp_path, sync_name(), "1") as program:
        program.attach()
        assert "What did your program count?" in exercises.count_transactions(program)
        assert sum(program.hash("found").values()) == 4 * truths.expected("10-q2")  # type: ignore[operator]


@bpf
def test_the_process_with_most_syncs_is_the_one_that_commits_each_row(tmp_path: Path) -> None:
    with tool(tmp_path, sync_name(), "1") as program:
        program.attach()
        assert "Who committed after each row?" in exercises.who_commits(program)
        found = program.hash("found")
    found = {pid: count for pid, count in found.items() if count}
    assert len(found) == 4
    assert max(found, key=lambda pid: found[pid]) == truths.expected("10-q3")
    assert max(found.values()) == 4 * 60


@bpf
def test_the_sizes_of_the_writes_add_up_to_the_log(tmp_path: Path) -> None:
    with tool(tmp_path, "pwrite64", "args->count") as program:
        program.attach()
        assert "How many bytes did it write?" in exercises.log_size(program)
        assert sum(program.hash("found").values()) == truths.expected("10-q4")


@bpf
@pytest.mark.parametrize("riddle", ["count_transactions", "who_commits", "log_size"])
def test_a_program_that_does_not_serve_is_told_in_words(tmp_path: Path, riddle: str) -> None:
    ask = getattr(exercises, riddle)
    assert "not loaded yet" in ask(None)
    path = tmp_path / "nobody.c"
    path.write_text("TRACEPOINT_PROBE(syscalls, sys_enter_openat) { return 0; }\n")
    with Program(source=path) as program:
        assert "does not ask whom it watches" in ask(program)
