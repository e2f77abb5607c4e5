/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Lesson 12: the system call that each watched thread is in; a program with this has its own probe at the exit. */
#ifndef LABKIT_IN_CALL_H
#define LABKIT_IN_CALL_H

#include "labkit_watched.h"

struct started { u64 at_ns; s64 number; u64 first; u64 second; u64 third; u64 fourth; };	/* and its first arguments */

BPF_HASH(in_call, u32, struct started, 16384);	/* by thread */

TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct started now = {};

	if (!is_watched())
		return 0;
	now.at_ns = bpf_ktime_get_ns();
	now.number = args->id;
	now.first = args->args[0];
	now.second = args->args[1];
	now.third = args->args[2];
	now.fourth = args->args[3];
	if (in_call.update(&tid, &now))
		labkit_count_lost();
	return 0;
}

/* Takes the call that the running thread returns from; false: it is not watched, or the call began before. */
static __always_inline bool take_call(struct started *call)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct started *began = in_call.lookup(&tid);

	if (!began)
		return false;
	*call = *began;
	in_call.delete(&tid);
	return true;
}

#endif
