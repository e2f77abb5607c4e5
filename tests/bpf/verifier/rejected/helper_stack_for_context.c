/* kind: type | type: KPROBE
 * The first argument must be the context. */
#include <uapi/linux/ptrace.h>
BPF_PERF_OUTPUT(events);

int rejected(struct pt_regs *ctx)
{
	u64 now = bpf_ktime_get_ns();

	events.perf_submit(&now, &now, sizeof(now)); /* rejected here */
	return 0;
}
