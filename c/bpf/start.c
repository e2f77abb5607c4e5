/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 00: how long each read(2) of one process takes.
 */
#include "labkit.h"

struct read_event {
	u64 time_ns;		/* when it began */
	u64 latency_ns;		/* how long it took */
	s64 bytes;		/* what it returned: bytes read, or an error below zero */
	u32 tid;
	u32 cpu;
};

BPF_HASH(began_ns, u32, u64);	/* thread -> when its read began */
BPF_RINGBUF_OUTPUT(events, 256);

TRACEPOINT_PROBE(syscalls, sys_enter_read)
{
	u32 thread = bpf_get_current_pid_tgid();
	u64 now = bpf_ktime_get_ns();

	if (labkit_is_target() && began_ns.update(&thread, &now))
		labkit_count_lost();	/* the map is full */
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_exit_read)
{
	u32 thread = bpf_get_current_pid_tgid();
	u64 now = bpf_ktime_get_ns();
	u64 *began = began_ns.lookup(&thread);
	struct read_event *event;

	if (!began || !labkit_is_target())	/* not watched, or it began before we attached */
		return 0;
	event = events.ringbuf_reserve(sizeof(*event));
	if (event) {
		event->time_ns = *began;
		event->latency_ns = now - *began;
		event->bytes = args->ret;
		event->tid = labkit_tid();
		event->cpu = bpf_get_smp_processor_id();
		events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	} else {
		labkit_count_lost();
	}
	began_ns.delete(&thread);
	return 0;
}
