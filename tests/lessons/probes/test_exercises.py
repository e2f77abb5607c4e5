# SPDX-License-Identifier: Apache-2.0
"""Lesson 04: right programs pass, typical wrong ones are refused, each in the case that shows its mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from judging import cases, judged

from labkit.lessons.probes.exercises import DEEPEST, NAPS

pytestmark = pytest.mark.bpf

NAPPED = """
BPF_HASH(calls, u32, u64);
BPF_HASH(time_ns, u32, u64);
BPF_HASH(starts, u32, u64);

static __always_inline u32 key_of_start(void)
{
	return variant() == 3 ? labkit_pid() : labkit_tid();	/* 3: one start for all threads */
}

int on_entry(struct pt_regs *ctx)
{
	u32 key = key_of_start();
	u64 now = bpf_ktime_get_ns();

	if (variant() == 1 || labkit_is_target())		/* 1: everybody */
		starts.update(&key, &now);
	return 0;
}

int on_return(struct pt_regs *ctx)
{
	u32 key = key_of_start(), tid = labkit_tid();
	u64 *start = starts.lookup(&key), zero = 0, took, *sum;

	if (!start)
		return 0;
	took = bpf_ktime_get_ns() - *start;
	starts.delete(&key);
	calls.increment(tid);
	sum = time_ns.lookup_or_try_init(&tid, &zero);
	if (sum)
		*sum += variant() == 2 ? took / 1000 : took;	/* 2: microseconds */
	return 0;
}
"""

FELL = """
BPF_HASH(deepest, u32, u64);
BPF_HASH(open, u32, u64);

int on_entry(struct pt_regs *ctx)
{
	u32 key = variant() == 3 ? labkit_pid() : labkit_tid(), tid = labkit_tid();
	u64 zero = 0, *depth, *most;

	if (variant() != 1 && !labkit_is_target())
		return 0;					/* 1: everybody */
	depth = open.lookup_or_try_init(&key, &zero);
	most = deepest.lookup_or_try_init(&tid, &zero);
	if (!depth || !most)
		return 0;
	if (variant() == 5) {					/* 5: not how deep, but whether */
		*most = 1;
		return 0;
	}
	__sync_fetch_and_add(depth, 1);				/* 3: by process */
	if (*depth > *most || variant() == 4)			/* 4: the last, not the deepest */
		*most = *depth;
	return 0;
}

int on_return(struct pt_regs *ctx)
{
	u32 key = variant() == 3 ? labkit_pid() : labkit_tid();
	u64 *depth = open.lookup(&key);

	if (depth && *depth && variant() != 2)			/* 2: never less */
		__sync_fetch_and_add(depth, -1);
	return 0;
}
"""


def test_times_of_calls(tmp_path: Path) -> None:
    told = judged(NAPS.judge, tmp_path, NAPPED, 3)
    assert cases(told) == ["a process that is not watched", "one thread", "two threads at a time"]


def test_the_deepest_recursion(tmp_path: Path) -> None:
    told = judged(DEEPEST.judge, tmp_path, FELL, 5)
    assert cases(told) == [
        "a process that is not watched",
        "one after another",
        "two threads at a time",
        "less deep later",
        "recursion",
    ]
