/* kind: type | type: KPROBE
 * A number is passed where memory is needed. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	bpf_get_current_comm((void *)PT_REGS_PARM1(ctx), 16); /* rejected here */
	return 0;
}
