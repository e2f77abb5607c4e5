/* kind: type | type: KPROBE
 * A pointer to a variable is passed where a map is needed. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	u64 now = bpf_ktime_get_ns();

	return bpf_map_delete_elem((void *)&now, &now); /* rejected here */
}
