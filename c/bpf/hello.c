/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 01: one record in a ring buffer each time a watched process starts to run a program.
 */
#define LABKIT_FOLLOW_CHILDREN
#include "labkit.h"

struct hello_event {
	u64 time_ns;
	u32 pid;
	u32 cpu;
	char comm[16];		/* the kernel's short name of a process: 15 letters and a zero */
};

BPF_RINGBUF_OUTPUT(events, 64);	/* 64 pages of memory that the kernel writes and Python reads */

/* The kernel calls this when a process has just become another program: execve(2) has worked. */
TRACEPOINT_PROBE(sched, sched_process_exec)
{
	struct hello_event *event;

	if (!labkit_is_target())
		return 0;
	event = events.ringbuf_reserve(sizeof(*event));
	if (!event) {		/* the buffer is full: count the loss, never hide it */
		labkit_count_lost();
		return 0;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->pid = labkit_pid();
	event->cpu = bpf_get_smp_processor_id();
	bpf_get_current_comm(&event->comm, sizeof(event->comm));
	events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);	/* Python looks by itself, every 2 ms */
	return 0;
}
