/* kind: reference | type: KPROBE
 * The record is gone after the first submit. */
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
	events.ringbuf_submit(event, 0);
	events.ringbuf_submit(event, 0); /* rejected here */
	return 0;
}
