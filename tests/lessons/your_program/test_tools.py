# SPDX-License-Identifier: Apache-2.0
"""Lesson 12: right programs pass, typical wrong ones are refused, each in the case that shows its mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from judging import cases, judged

from labkit.lessons.your_program.tools import FAILING, WRITTEN

pytestmark = pytest.mark.bpf

OPENS = """
BPF_HASH(errors, u32, u64);

TRACEPOINT_PROBE(syscalls, sys_exit_openat)
{
	s64 result = args->ret;
	u32 number = variant(), error = -result;

	if (number != 1 && !labkit_is_target())			/* 1: everybody */
		return 0;
	if (result >= 0) {
		if (number != 2)				/* 2: all calls */
			return 0;
		error = 2;
	}
	if (number == 3)
		error = 2;					/* all errors are ENOENT */
	if (number == 4)
		error = result;					/* with its sign */
	errors.increment(error);
	return 0;
}
"""

WRITES = """
BPF_HASH(written, u32, u64);
BPF_HASH(open_calls, u32, u32);

static __always_inline int add(u32 fd, u64 bytes)
{
	u64 zero = 0, *sum = written.lookup_or_try_init(&fd, &zero);

	if (sum)
		__sync_fetch_and_add(sum, bytes);
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_pwrite64)
{
	u32 number = variant(), tid = labkit_tid(), fd = args->fd;

	if (number != 1 && !labkit_is_target())
		return 0;					/* 1: everybody */
	if (number == 2)
		return add(fd, args->count);			/* what was asked for */
	open_calls.update(&tid, &fd);
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_exit_pwrite64)
{
	u32 number = variant(), tid = labkit_tid(), *fd = open_calls.lookup(&tid), it;

	if (!fd)
		return 0;
	it = *fd;
	open_calls.delete(&tid);
	if (args->ret < 0 && number != 4)			/* 4: errors are in the sum */
		return 0;
	return add(it, number == 3 ? 1 : args->ret);		/* 3: calls, not bytes */
}
"""


def test_calls_that_failed(tmp_path: Path) -> None:
    told = judged(FAILING.judge, tmp_path, OPENS, 4)
    assert cases(told) == [
        "a process that is not watched",
        "files that exist",
        "another error",
        "files that do not exist",
    ]


def test_bytes_that_were_written(tmp_path: Path) -> None:
    told = judged(WRITTEN.judge, tmp_path, WRITES, 4)
    assert cases(told) == ["a process that is not watched", "short writes", "full writes", "a full disk"]
