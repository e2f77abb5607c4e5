/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What was submitted belongs to the reader. */
struct event {
	u64 time_ns;
	u64 cpu;
};
BPF_RINGBUF_OUTPUT(events, 8);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	struct event *event = events.ringbuf_reserve(sizeof(*event));

	if (!event)
		return 0;
	event->time_ns = bpf_ktime_get_ns();
#ifdef FIXED
	event->cpu = bpf_get_smp_processor_id();
	events.ringbuf_submit(event, 0);
#else
	events.ringbuf_submit(event, 0);
	event->cpu = bpf_get_smp_processor_id();
#endif
	return 0;
}
