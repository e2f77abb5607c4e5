/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 01: the smallest program. It prints a line each time a watched process starts to run a program.
 */
#define LABKIT_FOLLOW_CHILDREN
#include "labkit.h"

TRACEPOINT_PROBE(sched, sched_process_exec)
{
	if (labkit_is_target())
		bpf_trace_printk("Hello, eBPF!\n");
	return 0;
}
