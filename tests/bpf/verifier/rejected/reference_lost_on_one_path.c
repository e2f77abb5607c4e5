/* kind: reference | type: KPROBE
 * The early return forgets the record. */
#include <uapi/linux/ptrace.h>
struct event {
	u64 time_ns;
	u64 pid;
};
BPF_RINGBUF_OUTPUT(events, 8);

int rejected(struct pt_regs *ctx)
{
	struct event *event;

	event = events.ringbuf_reserve(sizeof(*event)); /* rejected here */
	if (!event)
		return 0;
	event->time_ns = bpf_ktime_get_ns();
	if (event->time_ns & 1)
		return 0;
	events.ringbuf_submit(event, 0);
	return 0;
}
