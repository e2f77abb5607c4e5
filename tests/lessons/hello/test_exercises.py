# SPDX-License-Identifier: Apache-2.0
"""Lesson 01: right programs pass, typical wrong ones are refused, each in the case that shows its mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from judging import cases, judged

from labkit.lessons.hello.exercises import ENDS, EXIT_CODES

pytestmark = pytest.mark.bpf
FOLLOW = "#define LABKIT_FOLLOW_CHILDREN"

ENDED = """
struct end { u32 pid; };
BPF_RINGBUF_OUTPUT(events, 64);

static __always_inline int note(void)
{
	struct end *end = events.ringbuf_reserve(sizeof(struct end));

	if (!end)
		return 0;
	end->pid = labkit_pid();
	events.ringbuf_submit(end, 0);
	return 0;
}

TRACEPOINT_PROBE(sched, sched_process_exit)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 pid = id >> 32;

	if (variant() == 1 && labkit_is_target())
		return note();					/* threads, too */
	if (pid != (u32)id || variant() == 4)
		return 0;
	if (variant() == 2 || (variant() == 3 && !labkit_children.lookup(&pid) && labkit_is_target()))
		return note();					/* everybody; not the children */
	return variant() == 0 && labkit_is_target() ? note() : 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_exit_group)
{
	return variant() == 4 && labkit_is_target() ? note() : 0;	/* not those that are killed */
}
"""

EXITED = """
struct end { u32 pid; u32 code; };
BPF_RINGBUF_OUTPUT(events, 64);

static __always_inline int note(u32 code)
{
	struct end *end = events.ringbuf_reserve(sizeof(struct end));

	if (!end)
		return 0;
	end->pid = labkit_pid();
	end->code = code;
	events.ringbuf_submit(end, 0);
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_exit_group)
{
	if (variant() != 1 && !labkit_is_target())
		return 0;					/* 1: everybody */
	if (variant() == 2)
		return note(0);					/* no code */
	if (variant() == 3)
		return note(args->error_code);			/* not as the parent sees it */
	return variant() == 4 ? 0 : note(args->error_code & 255);
}

TRACEPOINT_PROBE(sched, sched_process_exit)
{
	return variant() == 4 && labkit_is_target() ? note(0) : 0;	/* threads and killed ones, too */
}
"""


def test_ends_of_processes(tmp_path: Path) -> None:
    told = judged(ENDS.judge, tmp_path, ENDED, 4, before=FOLLOW)
    assert cases(told) == ["threads", "a process that is not watched", "children", "killed by a signal"]


def test_exit_codes(tmp_path: Path) -> None:
    told = judged(EXIT_CODES.judge, tmp_path, EXITED, 4, before=FOLLOW)
    assert cases(told) == ["a process that is not watched", "other codes", "codes above 255", "threads"]
