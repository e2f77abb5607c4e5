/* kind: stack | type: KPROBE
 * The index may leave the array. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	char text[16] = {};
	u64 index = bpf_ktime_get_ns();

	text[index] = 1; /* rejected here */
	return text[3];
}
