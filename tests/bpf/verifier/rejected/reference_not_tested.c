/* kind: null | type: KPROBE
 * The ring may be full. */
#include <uapi/linux/ptrace.h>
struct event {
	u64 time_ns;
	u64 pid;
};
BPF_RINGBUF_OUTPUT(events, 8);

int rejected(struct pt_regs *ctx)
{
	struct event *event = events.ringbuf_reserve(sizeof(*event));

	event->time_ns = 1; /* rejected here */
	events.ringbuf_submit(event, 0);
	return 0;
}
