/* kind: reference | type: KPROBE
 * The record is neither submitted nor discarded. */
#include <uapi/linux/ptrace.h>
struct event {
	u64 time_ns;
	u64 pid;
};
BPF_RINGBUF_OUTPUT(events, 8);

int rejected(struct pt_regs *ctx)
{
	struct event *event = events.ringbuf_reserve(sizeof(*event)); /* rejected here */

	if (!event)
		return 0;
	event->time_ns = bpf_ktime_get_ns();
	return 0;
}
