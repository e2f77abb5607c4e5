/* kind: null | type: KPROBE
 * A lookup may find nothing. */
#include <uapi/linux/ptrace.h>
BPF_HASH(start, u32, u64);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;
	u64 *value = start.lookup(&key);

	*value += 1; /* rejected here */
	return 0;
}
