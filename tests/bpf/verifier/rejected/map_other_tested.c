/* kind: null | type: KPROBE
 * The wrong pointer is tested. */
#include <uapi/linux/ptrace.h>
BPF_HASH(start, u32, u64);

int rejected(struct pt_regs *ctx)
{
	u32 one = 1, two = 2;
	u64 *first = start.lookup(&one);
	u64 *second = start.lookup(&two);

	if (!first)
		return 0;
	*first += *second; /* rejected here */
	return 0;
}
