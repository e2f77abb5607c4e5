# SPDX-License-Identifier: Apache-2.0
"""Lesson 06: right programs pass, typical wrong ones are refused, each in the case that shows its mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from judging import cases, judged

from labkit.lessons.syscall_latency.tools import BY_DESCRIPTOR, BYTES_READ

pytestmark = pytest.mark.bpf

READ = """
BPF_ARRAY(moved, u64, 1);
BPF_ARRAY(failed, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_pread64)
{
	int slot = 0;
	u64 *sum = moved.lookup(&slot);

	if (sum && variant() == 2 && labkit_is_target())
		__sync_fetch_and_add(sum, args->count);		/* what was asked for */
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_exit_pread64)
{
	int slot = 0;
	u64 *sum = moved.lookup(&slot), *errors = failed.lookup(&slot);
	u32 number = variant();

	if (!sum || !errors || (number != 1 && !labkit_is_target()))
		return 0;					/* 1: everybody */
	if (args->ret < 0 || (number == 4 && args->ret == 0)) {	/* 4: the end of a file is an error */
		if (number != 5)				/* 5: errors are in the sum */
			__sync_fetch_and_add(errors, 1);
		if (number != 5)
			return 0;
	}
	if (number == 3)
		__sync_fetch_and_add(sum, 1);			/* calls, not bytes */
	else if (number != 2)
		__sync_fetch_and_add(sum, args->ret);
	return 0;
}
"""

RECEIVED = """
BPF_HASH(calls, u32, u64);
BPF_HASH(open, u32, u32);

static __always_inline int add(u32 fd)
{
	u64 zero = 0, *count = calls.lookup_or_try_init(&fd, &zero);

	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_recvfrom)
{
	u32 number = variant(), key = number == 4 ? labkit_pid() : labkit_tid(), fd = args->fd;

	if (number != 1 && !labkit_is_target())
		return 0;					/* 1: everybody */
	if (number == 2)
		return add(fd);					/* at the entry */
	open.update(&key, &fd);					/* 4: by process */
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_exit_recvfrom)
{
	u32 number = variant(), key = number == 4 ? labkit_pid() : labkit_tid(), *fd = open.lookup(&key), it;

	if (!fd)
		return 0;
	it = *fd;
	open.delete(&key);
	return args->ret < 0 || (number == 3 && !args->ret) ? 0 : add(it);	/* 3: 0 is taken for an error */
}
"""


def test_bytes_that_were_read(tmp_path: Path) -> None:
    told = judged(BYTES_READ.judge, tmp_path, READ, 5)
    assert cases(told) == ["a process that is not watched", "short reads", "full reads", "end of file", "errors"]


def test_calls_by_descriptor(tmp_path: Path) -> None:
    told = judged(BY_DESCRIPTOR.judge, tmp_path, RECEIVED, 4)
    assert cases(told) == ["a process that is not watched", "errors", "0 bytes", "two threads that wait"]
