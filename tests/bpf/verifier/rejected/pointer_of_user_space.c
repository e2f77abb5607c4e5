/* kind: pointer | type: KPROBE
 * An argument of the traced function is only a number here. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	u64 address = PT_REGS_PARM1(ctx);

	return *(volatile u8 *)address; /* rejected here */
}
