/* kind: uninitialised | type: KPROBE
 * The flags have no value. */
#include <uapi/linux/ptrace.h>
BPF_RINGBUF_OUTPUT(events, 8);

int rejected(struct pt_regs *ctx)
{
	u64 flags, now = bpf_ktime_get_ns();

	events.ringbuf_output(&now, sizeof(now), flags); /* rejected here */
	return 0;
}
