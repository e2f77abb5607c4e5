/* kind: loop | type: KPROBE
 * Two million rounds are too many to walk through. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	u32 sum = 0;

	for (u32 i = 0; i < 2000000; i++) /* rejected here */
		sum += bpf_get_prandom_u32(); /* rejected here */
	return sum;
}
