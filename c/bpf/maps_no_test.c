/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 02: a lookup whose answer is used without a test. The kernel refuses this program.
 */
#include "labkit.h"

BPF_HASH(calls, u32, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	u32 thread = bpf_get_current_pid_tgid();
	u64 *count = calls.lookup(&thread);

	*count += 1;
	return 0;
}
