/* kind: licence | type: KPROBE
 * The helper is for GPL programs. */
#define BPF_LICENSE Proprietary
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)PT_REGS_PARM1(ctx)); /* rejected here */
	return value;
}
