/* kind: loop | type: KPROBE
 * Nothing in the loop changes. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	u64 now = bpf_ktime_get_ns();

	while (now) /* rejected here */
		asm volatile("");
	return 0;
}
