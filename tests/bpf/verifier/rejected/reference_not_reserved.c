/* kind: type | type: KPROBE
 * A variable on the stack was never reserved. */
#include <uapi/linux/ptrace.h>
struct event {
	u64 time_ns;
	u64 pid;
};
BPF_RINGBUF_OUTPUT(events, 8);

int rejected(struct pt_regs *ctx)
{
	struct event event = {};

	events.ringbuf_submit(&event, 0); /* rejected here */
	return 0;
}
