/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* One record of five fields for each getppid(2) of the watched process. */
#include "labkit.h"

struct event {
	u64 time_ns;
	u64 number;
	u32 pid;
	u32 tid;
	u32 cpu;
};

BPF_RINGBUF_OUTPUT(events, PAGES);
BPF_PERCPU_ARRAY(made, u64, 1);		/* records that we tried to send */

TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	u64 who = bpf_get_current_pid_tgid(), *number;
	struct event *event;
	int first = 0;

	if (!labkit_is_target())
		return 0;
	number = made.lookup(&first);
	if (!number)
		return 0;
	++*number;
	event = events.ringbuf_reserve(sizeof(*event));
	if (!event) {
		labkit_count_lost();
		return 0;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->number = *number;
	event->pid = who >> 32;
	event->tid = who;
	event->cpu = bpf_get_smp_processor_id();
	events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}
