/* kind: stack | type: KPROBE
 * The mask lets 1023 through. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	char text[16] = {};
	u64 index = bpf_get_prandom_u32() & 1023;

	text[index] = 1; /* rejected here */
	return text[3];
}
