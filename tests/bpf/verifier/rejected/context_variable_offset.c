/* kind: context | type: KPROBE
 * Which register is read is known only at run time. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	u64 index = bpf_get_prandom_u32() & 7;

	return ((u64 *)ctx)[index]; /* rejected here */
}
