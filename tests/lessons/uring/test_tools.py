# SPDX-License-Identifier: Apache-2.0
"""Lesson 08: right programs pass, typical wrong ones are refused, each in the case that shows its mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from judging import cases, judged

from labkit.bpf.program import TRACING
from labkit.lessons.uring.tools import HANDED, RESULTS

pytestmark = pytest.mark.bpf
_EVENT = TRACING / "events/io_uring/io_uring_queue_async_work/format"
HAS_OPCODE = not _EVENT.exists() or " opcode;" in _EVENT.read_text(encoding="ascii")

COUNTED = """
BPF_ARRAY(done, u64, 1);
BPF_ARRAY(failed, u64, 1);

static __always_inline int add(u64 results, u64 errors)
{
	int slot = 0;
	u64 *all = done.lookup(&slot), *bad = failed.lookup(&slot);

	if (all)
		__sync_fetch_and_add(all, results);
	if (bad)
		__sync_fetch_and_add(bad, errors);
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_exit_io_uring_enter)
{
	if (!labkit_is_target())
		return 0;
	if (variant() == 2)				/* calls */
		return add(1, args->ret < 0);
	if (variant() == 4)				/* what calls submitted, and calls that failed */
		return args->ret < 0 ? add(0, 1) : add(args->ret, 0);
	return 0;
}

TRACEPOINT_PROBE(io_uring, io_uring_complete)
{
	u32 number = variant();

	if (number == 2 || number == 4 || (number != 1 && !labkit_is_target()))
		return 0;				/* 1: everybody */
	if (number == 3)				/* 0 is taken for an error */
		return add(1, (int)args->res <= 0);
	return add(1, (int)args->res < 0);
}
"""

QUEUED = """
BPF_HASH(handed, u32, u64);

static __always_inline int add(u32 opcode)
{
	u64 zero = 0, *count = handed.lookup_or_try_init(&opcode, &zero);

	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

TRACEPOINT_PROBE(io_uring, io_uring_queue_async_work)
{
	u32 number = variant(), opcode = args->opcode;

	if (number == 2 || (number != 1 && !labkit_is_target()))
		return 0;				/* 1: everybody */
	if (number == 3 && !opcode)
		return 0;				/* 3: not opcode 0 */
	return add(number == 4 ? 0 : opcode);		/* 4: all under one key */
}

TRACEPOINT_PROBE(io_uring, io_uring_complete)
{
	return variant() == 2 && labkit_is_target() ? add(22) : 0;	/* all, not only what workers do */
}
"""


def test_results_of_requests(tmp_path: Path) -> None:
    told = judged(RESULTS.judge, tmp_path, COUNTED, 4)
    assert cases(told) == ["a process that is not watched", "a batch", "0 bytes", "errors"]


@pytest.mark.skipif(not HAS_OPCODE, reason="io_uring_queue_async_work has no opcode on this kernel")
def test_requests_for_workers(tmp_path: Path) -> None:
    told = judged(HANDED.judge, tmp_path, QUEUED, 4)
    assert cases(told) == ["a process that is not watched", "none", "two kinds", "one kind of request"]
