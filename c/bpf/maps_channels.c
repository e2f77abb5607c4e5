/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Lesson 02: the same record sent to user space by a ring buffer or by a perf buffer.
 *
 * CHANNEL is chosen when this file is compiled. A ring buffer of PAGES pages is one for all CPUs; of a perf buffer
 * each CPU has its own; how large they are, and after how many records they wake their reader, Python says when it
 * opens them.
 */
#include "labkit.h"

#define NONE	0	/* make the record and throw it away: what the rest costs */
#define RING	1
#define PERF	2

struct channel_event {
	u64 time_ns;
	u32 event_number;	/* which write it was: the workload's first writes 1 byte, its second 2, ... */
	u32 cpu;
};

#if CHANNEL == RING
BPF_RINGBUF_OUTPUT(events, PAGES);
#elif CHANNEL == PERF
BPF_PERF_OUTPUT(events);
#endif
BPF_PERCPU_ARRAY(records, u64, 1);		/* records that we tried to send */

TRACEPOINT_PROBE(syscalls, sys_enter_pwrite64)
{
	struct channel_event event = {};
	int first = 0;
	u64 *tried;

	if (!labkit_is_target())
		return 0;
	event.time_ns = bpf_ktime_get_ns();
	event.event_number = args->count;
	event.cpu = bpf_get_smp_processor_id();
	tried = records.lookup(&first);
	if (tried)
		*tried += 1;
#if CHANNEL == RING
	if (events.ringbuf_output(&event, sizeof(event), WAKING ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP))
		labkit_count_lost();
#elif CHANNEL == PERF
	if (events.perf_submit(args, &event, sizeof(event)))
		labkit_count_lost();
#endif
	return 0;
}
