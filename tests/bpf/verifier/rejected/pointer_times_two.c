/* kind: arithmetic | type: KPROBE
 * A pointer cannot be multiplied. */
#include <uapi/linux/ptrace.h>
BPF_HASH(start, u32, u64);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;
	u64 *value = start.lookup(&key);

	if (!value)
		return 0;
	return *(u64 *)((u64)value << 1); /* rejected here */
}
