/* kind: stack | type: KPROBE
 * The helper gets 64 bytes; the array has 16. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	char text[16];

	bpf_get_current_comm(text, 64); /* rejected here */
	return text[0];
}
