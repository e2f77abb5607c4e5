/* kind: licence | type: KPROBE
 * Printing to the trace is for GPL programs. */
#define BPF_LICENSE Proprietary
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	bpf_trace_printk("hello"); /* rejected here */
	return 0;
}
