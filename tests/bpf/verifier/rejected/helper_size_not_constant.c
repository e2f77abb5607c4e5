/* kind: type | type: KPROBE
 * How much is reserved must be fixed. */
#include <uapi/linux/ptrace.h>
BPF_RINGBUF_OUTPUT(events, 8);

int rejected(struct pt_regs *ctx)
{
	u64 size = bpf_get_prandom_u32() & 63;
	void *record = events.ringbuf_reserve(size); /* rejected here */

	if (record)
		events.ringbuf_discard(record, 0);
	return 0;
}
