/* kind: helper | type: KPROBE
 * A hash takes no perf events. */
#include <uapi/linux/ptrace.h>
BPF_HASH(start, u32, u64);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;

	bpf_perf_event_output(ctx, (void *)bpf_pseudo_fd(1, -1), 0, &key, sizeof(key)); /* rejected here */
	return 0;
}
