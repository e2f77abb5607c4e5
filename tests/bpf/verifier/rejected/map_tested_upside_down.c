/* kind: null | type: KPROBE
 * The pointer is used where it is NULL. */
#include <uapi/linux/ptrace.h>
BPF_HASH(start, u32, u64);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;
	u64 *value = start.lookup(&key);

	if (!value)
		return *(volatile u64 *)value; /* rejected here */
	return 0;
}
