/* kind: null | type: KPROBE
 * The test was before the second lookup. */
#include <uapi/linux/ptrace.h>
BPF_HASH(start, u32, u64);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;
	u64 *value = start.lookup(&key);

	if (!value)
		return 0;
	key = *value;
	value = start.lookup(&key);
	*value = 0; /* rejected here */
	return 0;
}
