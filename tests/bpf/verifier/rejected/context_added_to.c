/* kind: context | type: KPROBE
 * The context cannot be counted in. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	__sync_fetch_and_add(&PT_REGS_IP(ctx), 1); /* rejected here */
	return 0;
}
