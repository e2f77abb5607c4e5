/* kind: bounds | type: KPROBE
 * The size may be 0. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	char name[16] = {};

	bpf_get_current_comm(name, bpf_get_prandom_u32() & 15); /* rejected here */
	return name[0];
}
