/* kind: context | type: KPROBE
 * struct pt_regs is shorter than this. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	return *(u64 *)((char *)ctx + 1024); /* rejected here */
}
