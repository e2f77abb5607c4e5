/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 02: a duration has two ends. The entry of a call stores the time in a map, the exit looks it up.
 *
 * ONE_SLOT=1 makes the beginner's mistake: all threads share one key, and take each other's beginnings for their own.
 */
#include "labkit.h"

struct pair_event {
	u64 time_ns;		/* when the call began */
	u64 latency_ns;
	u32 tid;
	u32 cpu;
};

BPF_PERCPU_ARRAY(unpaired, u64, 1);	/* exits that found no beginning */
BPF_RINGBUF_OUTPUT(events, 64);

/* show: entry */
BPF_HASH(began_ns, u32, u64);		/* thread -> when its call began */

TRACEPOINT_PROBE(syscalls, sys_enter_clock_nanosleep)
{
	u32 thread = bpf_get_current_pid_tgid();	/* the low half is the thread's number */
	u32 key = ONE_SLOT ? 0 : thread;
	u64 now = bpf_ktime_get_ns();

	if (labkit_is_target() && began_ns.update(&key, &now))
		labkit_count_lost();	/* the map is full */
	return 0;
}
/* show: end */

/* show: exit */
TRACEPOINT_PROBE(syscalls, sys_exit_clock_nanosleep)
{
	u32 thread = bpf_get_current_pid_tgid();
	u32 key = ONE_SLOT ? 0 : thread, first = 0;
	u64 now = bpf_ktime_get_ns();
	u64 *began, *missed;
	struct pair_event *event;

	if (!labkit_is_target())
		return 0;
	began = began_ns.lookup(&key);
	if (!began) {		/* it began before we attached, or somebody else took our beginning */
		missed = unpaired.lookup(&first);
		if (missed)
			*missed += 1;
		return 0;
	}
	event = events.ringbuf_reserve(sizeof(*event));
	if (event) {
		event->time_ns = *began;
		event->latency_ns = now - *began;
		event->tid = labkit_tid();
		event->cpu = bpf_get_smp_processor_id();
		events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	} else {
		labkit_count_lost();
	}
	began_ns.delete(&key);	/* or the map fills up with threads that are gone */
	return 0;
}
/* show: end */
