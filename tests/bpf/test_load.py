# SPDX-License-Identifier: Apache-2.0
"""The verifier's log is whole where possible; if it is cut, it still contains the verdict.

Since 6.4 the kernel keeps the end of a log that is too long for its buffer; before, it kept the head. Any kernel can be
made to act as those: its log is cut here as they cut it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.bpf import load
from labkit.bpf.bcc import program_type
from labkit.bpf.text import Source
from labkit.bpf.verifier import explain
from labkit.bpf.verifier.evidence import Evidence, examine

pytestmark = pytest.mark.bpf

REFUSED = """#include <uapi/linux/ptrace.h>
BPF_HASH(start, u32, u64);

int probe(struct pt_regs *ctx)
{
	u32 key = 1;
	u64 *value = start.lookup(&key);

	return *value;
}
"""
SAID = "R0 invalid mem access 'map_value_or_null'"
# 6.1 begins each log with it, the short one too.
NOTE = "arg#0 reference type('UNKNOWN ') size cannot be determined: -22\n"
FIRST_BYTES = 200  # too small for the log
SOURCE: Source  # of REFUSED, in a new file for each test


@pytest.fixture(autouse=True)
def refused(tmp_path: Path) -> Iterator[None]:
    """Write the program that is examined."""
    global SOURCE
    path = tmp_path / "refused.c"
    path.write_text(REFUSED)
    SOURCE = Source.of(path, {})
    yield


def examined() -> Evidence:
    return examine(SOURCE, "probe", program_type("KPROBE"))


@pytest.fixture(params=["", NOTE], ids=["verdict", "note and verdict"])
def asked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let this kernel cut logs as those before 6.4; list how long a full log each load asked for."""
    lengths: list[int] = []
    plain = load.attempt

    def cut(module: Any, function: str, kind: int, level: int, log_bytes: int, *more: Any) -> tuple[int, int, str]:
        fd, error, log = plain(module, function, kind, level, 1 << 20, *more)
        if fd >= 0:
            return fd, error, log
        if level == load._LOG_PATH:
            lengths.append(log_bytes)
        log = request.param + log
        fits = len(log) < log_bytes
        return (fd, error, log) if fits else (fd, errno.ENOSPC, log[: log_bytes - 1])

    monkeypatch.setattr(load, "attempt", cut)
    return lengths


def assert_whole(log: str) -> None:
    """One path from its first instruction to its verdict, and nothing twice."""
    lines = log.splitlines()
    assert any(line.startswith("0: (") for line in lines)
    assert lines.count(SAID) == 1
    assert [line.startswith("processed ") for line in lines].count(True) == 1
    assert lines[-1].startswith("processed ")


def test_a_log_that_fits_is_asked_for_once_and_returned_as_it_is(asked: list[int]) -> None:
    evidence = examined()
    assert not evidence.accepted
    assert_whole(evidence.log)
    assert asked == [load._LOG_BYTES[0]]


def test_a_log_that_was_cut_is_asked_for_again_with_more_room(
    asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_LOG_BYTES", (FIRST_BYTES, 1 << 16))
    assert_whole(examined().log)
    assert asked == [FIRST_BYTES, 1 << 16]


def too_small(log: str) -> tuple[int, int]:
    """Return lengths of which the larger cuts a log in the middle of its last instruction, just before the verdict."""
    return FIRST_BYTES, log.index(SAID) - 10


def test_the_verdict_follows_the_head_of_a_log_that_is_too_long_for_any_buffer(
    asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = examined().log
    monkeypatch.setattr(load, "_LOG_BYTES", too_small(whole))
    log = examined().log
    assert log.splitlines()[0] == whole.splitlines()[0]
    assert log.splitlines().count(SAID) == 1
    told = explain.explain(log)
    assert (told.kind, told.said) == ("null", SAID)
    assert "The instruction" not in told.detail  # the verifier stopped beyond the cut
    assert told.processed is not None
    assert asked[1:] == list(load._LOG_BYTES)


def test_whichever_end_this_kernel_keeps_the_verdict_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_LOG_BYTES", too_small(examined().log))
    log = examined().log
    assert log.splitlines().count(SAID) == 1
    assert explain.explain(log).kind == "null"
