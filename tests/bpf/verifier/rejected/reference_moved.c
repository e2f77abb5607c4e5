/* kind: reference | type: KPROBE | since 6.1 (5.10 accepts it)
 * What is submitted must be what was reserved. */
#include <uapi/linux/ptrace.h>
struct event {
	u64 time_ns;
	u64 pid;
};
BPF_RINGBUF_OUTPUT(events, 8);

int rejected(struct pt_regs *ctx)
{
	struct event *event = events.ringbuf_reserve(sizeof(*event));

	if (!event)
		return 0;
	events.ringbuf_submit(&event->pid, 0); /* rejected here */
	return 0;
}
