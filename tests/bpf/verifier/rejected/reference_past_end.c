/* kind: bounds | type: KPROBE
 * 8 bytes were reserved; the record has 16. */
#include <uapi/linux/ptrace.h>
struct event {
	u64 time_ns;
	u64 pid;
};
BPF_RINGBUF_OUTPUT(events, 8);

int rejected(struct pt_regs *ctx)
{
	struct event *event = events.ringbuf_reserve(8);

	if (!event)
		return 0;
	event->pid = 1; /* rejected here */
	events.ringbuf_submit(event, 0);
	return 0;
}
