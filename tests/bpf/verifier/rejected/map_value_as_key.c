/* kind: null | type: KPROBE
 * What a lookup found is passed on untested. */
#include <uapi/linux/ptrace.h>
BPF_HASH(start, u32, u64);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;
	u64 *value = start.lookup(&key);

	start.delete((u32 *)value); /* rejected here */
	return 0;
}
