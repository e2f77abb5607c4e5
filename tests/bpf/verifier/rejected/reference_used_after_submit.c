/* kind: reference | type: KPROBE
 * The record belongs to the reader now. */
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
	event->pid = 1;
	events.ringbuf_submit(event, 0);
	event->time_ns = bpf_ktime_get_ns(); /* rejected here */
	return 0;
}
