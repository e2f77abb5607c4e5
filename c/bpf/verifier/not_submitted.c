/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What was reserved in a ring buffer must be submitted or discarded, on each path. */
struct event {
	u64 time_ns;
	long flags;
};
BPF_RINGBUF_OUTPUT(events, 8);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	struct event *event = events.ringbuf_reserve(sizeof(*event));

	if (!event)
		return 0;
	event->flags = args->flags;
	if (event->flags == 0) {
#ifdef FIXED
		events.ringbuf_discard(event, 0);
#endif
		return 0;
	}
	event->time_ns = bpf_ktime_get_ns();
	events.ringbuf_submit(event, 0);
	return 0;
}
