# SPDX-License-Identifier: Apache-2.0
"""Lesson 05: right programs pass, typical wrong ones are refused, each in the case that shows its mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from judging import cases, judged

from labkit.lessons.usdt.exercises import BYTES, PATHS

pytestmark = pytest.mark.bpf
USDT = '#include "labkit_usdt.h"'

COUNTED = """
struct path { char text[32]; };
BPF_HASH(paths, struct path, u64);

int on_reply(struct pt_regs *ctx)
{
	struct path path = {};
	void *text = (void *)usdt_argument(ctx, 2);

	if (variant() != 2 && !labkit_is_target())
		return 0;						/* 2: everybody */
	if (variant() == 1)
		bpf_probe_read_user(&path, sizeof(path), text);		/* what follows the text, too */
	else if (variant() == 3)
		bpf_probe_read_user_str(&path, 16, text);		/* half of it */
	else
		bpf_probe_read_user_str(&path, sizeof(path), text);
	if (variant() == 4 && !path.text[0])				/* 4: not the empty one */
		return 0;
	paths.increment(path);
	return 0;
}
"""

ADDED = """
BPF_HASH(bytes_by_status, s32, u64);

int on_reply(struct pt_regs *ctx)
{
	s32 status = usdt_argument(ctx, 1);
	u64 zero = 0, bytes = usdt_argument(ctx, 3), *sum;

	if (variant() != 1 && !labkit_is_target())
		return 0;						/* 1: everybody */
	if (variant() == 2)
		bytes = 1;						/* replies, not bytes */
	if (variant() == 3)
		bytes = (u32)bytes;
	if (variant() == 4 && status < 0)
		status = -status;
	sum = bytes_by_status.lookup_or_try_init(&status, &zero);
	if (sum)
		__sync_fetch_and_add(sum, bytes);
	return 0;
}
"""


def test_paths(tmp_path: Path) -> None:
    told = judged(PATHS.judge, tmp_path, COUNTED, 4, before=USDT)
    assert cases(told) == ["one path", "a process that is not watched", "several paths", "an empty path"]


def test_bytes_by_status(tmp_path: Path) -> None:
    told = judged(BYTES.judge, tmp_path, ADDED, 4, before=USDT)
    assert cases(told) == [
        "a process that is not watched",
        "one status",
        "more than 4 GiB",
        "several statuses, one below 0",
    ]
