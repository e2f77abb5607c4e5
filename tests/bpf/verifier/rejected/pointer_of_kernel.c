/* kind: pointer | type: KPROBE
 * The current task is only a number here. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	u64 task = bpf_get_current_task();

	return *(volatile u32 *)(task + 16); /* rejected here */
}
