/* kind: context | type: KPROBE
 * A field is read from its middle to the middle of the next. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	return *(u64 *)((char *)ctx + 4); /* rejected here */
}
