/* kind: pointer | type: KPROBE
 * The map itself is not memory. */
#include <uapi/linux/ptrace.h>
BPF_HASH(start, u32, u64);

int rejected(struct pt_regs *ctx)
{
	u64 *map = (u64 *)bpf_pseudo_fd(1, -1);

	*map = 0; /* rejected here */
	return 0;
}
