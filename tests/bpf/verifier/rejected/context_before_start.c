/* kind: context | type: KPROBE
 * Nothing may be read before the context. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	return *(u64 *)((char *)ctx - 8); /* rejected here */
}
