# SPDX-License-Identifier: Apache-2.0
"""Lesson 02: right programs pass, typical wrong ones are refused, each in the case that shows its mistake."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from judging import cases, judged

from labkit.lessons.maps.exercises import FULL, RACE

pytestmark = pytest.mark.bpf

COUNTED = """
BPF_ARRAY(calls, u64, 1);

static __always_inline int add(u64 number)
{
	int slot = 0;
	u64 *count = calls.lookup(&slot);

	if (count && variant() != 3)
		__sync_fetch_and_add(count, number);
	else if (count)
		*count += number;				/* updates are lost */
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	return variant() == 1 || labkit_is_target() ? add(1) : 0;	/* 1: everybody */
}

TRACEPOINT_PROBE(syscalls, sys_exit_getppid)
{
	return variant() == 2 && labkit_is_target() ? add(1) : 0;	/* both ends */
}
"""

KEPT = """
BPF_HASH(sizes, u64, u64, 8);
BPF_ARRAY(refused, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_pwrite64)
{
	u64 size = args->count, zero = 0, *count;
	u32 number = variant();
	int slot = 0;

	if (number != 1 && !labkit_is_target())
		return 0;					/* 1: everybody */
	if (number == 2 && !size)
		return 0;					/* not those of 0 bytes */
	if (number == 4) {					/* every new write of a full map is refused */
		count = refused.lookup(&slot);
		if (count && *count) {
			__sync_fetch_and_add(count, 1);
			return 0;
		}
	}
	count = sizes.lookup_or_try_init(&size, &zero);
	if (!count && number != 3)				/* 3: refused in silence */
		count = refused.lookup(&slot);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU loses no update")
def test_a_count_of_two_cpus(tmp_path: Path) -> None:
    told = judged(RACE.judge, tmp_path, COUNTED, 3)
    assert cases(told) == ["a process that is not watched", "one thread", "two threads on two CPUs"]


def test_a_full_map(tmp_path: Path) -> None:
    told = judged(FULL.judge, tmp_path, KEPT, 4)
    assert cases(told) == [
        "a process that is not watched",
        "0 bytes",
        "more sizes than room",
        "a full map and a known size",
    ]
