/* kind: read-only | type: KPROBE
 * The map is read-only for programs. */
#include <uapi/linux/ptrace.h>
BPF_F_TABLE("hash", u32, u64, limits, 16, BPF_F_RDONLY_PROG);

int rejected(struct pt_regs *ctx)
{
	u32 key = 1;
	u64 *value = limits.lookup(&key);

	if (value)
		*value = 0; /* rejected here */
	return 0;
}
