/* kind: loop | type: KPROBE
 * Each round doubles the paths. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	u64 last = 0;

	for (u32 i = 0; i < 100000; i++) { /* rejected here */
		if (bpf_get_prandom_u32() > 7) /* rejected here */
			last = bpf_ktime_get_ns(); /* rejected here */
	}
	return last;
}
