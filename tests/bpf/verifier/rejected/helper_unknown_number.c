/* kind: helper | type: KPROBE
 * No kernel has a helper of this number. */
#include <uapi/linux/ptrace.h>
static u64 (*imaginary)(void) = (void *)99999;

int rejected(struct pt_regs *ctx)
{
	return imaginary(); /* rejected here */
}
