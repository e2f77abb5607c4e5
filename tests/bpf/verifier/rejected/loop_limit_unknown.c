/* kind: loop | type: KPROBE
 * The number of rounds is known only at run time. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	u64 sum = 0, rounds = bpf_ktime_get_ns();

	for (u64 i = 0; i < rounds; i++) /* rejected here */
		sum += bpf_get_prandom_u32(); /* rejected here */
	return sum;
}
