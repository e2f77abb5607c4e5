/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* accepted: a ring buffer, since 5.8 */
BPF_RINGBUF_OUTPUT(events, 8);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	u64 *event = events.ringbuf_reserve(sizeof(*event));

	if (!event)
		return 0;
	*event = bpf_ktime_get_ns();
	events.ringbuf_submit(event, 0);
	return 0;
}
