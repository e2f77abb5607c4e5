/* kind: uninitialised | type: KPROBE
 * The result has no value. */
#include <uapi/linux/ptrace.h>

int rejected(struct pt_regs *ctx)
{
	int result;

	return result; /* rejected here */
}
